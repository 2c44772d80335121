import { interaction, loadTraceId } from '/trace.js';

const CRUD_MAX_CHARS = 280;
const REPLY_MAX_CHARS = 1024;
const FADE_MS = 600;
const COPIED_MS = 1500;
const HOUR_MS = 3_600_000;
const SPANS = [[24 * HOUR_MS, 'd'], [HOUR_MS, 'h'], [HOUR_MS / 60, 'm'], [1000, 's']];

const REFUSALS = {
  ttl_blank: 'Choose how long the crud should live.',
  message_blank: 'Write something first.',
  message_exceed_max_chars: `That is too long: a crud holds ${CRUD_MAX_CHARS} characters, a reply ${REPLY_MAX_CHARS}.`,
  activity_uuid_blank: 'The crud you are replying to is missing. Reload the page and try again.',
  search_term_blank: 'Type a word to search for.',
};

const byId = (id) => document.getElementById(id);
const feed = byId('feed');
const crudForm = byId('crud-form');

// ---- The API, one trace per call

class Refused extends Error {
  name = 'Refused';
}

// `name` is that of the browser's span.
const callApi = (name, action, url, options) => interaction(name, (fetch) => callWith(fetch, action, url, options));

async function callWith(fetch, action, url, { body, signal, whenMissing } = {}) {
  const started = performance.now();
  const response = await fetch(url, body ? postOf(body) : { signal }).catch(() => {
    throw new Refused('Cruddur cannot be reached. Check your connection and try again.');
  });
  const answer = await response.json().catch(() => null);
  signal?.throwIfAborted();
  noteServerClock(response);
  showTrace(response.ok ? action : `${action} failed`, traceIdOf(response, answer), performance.now() - started);
  if (response.status === 404 && whenMissing) throw new Refused(whenMissing);
  if (!response.ok || !answer) throw new Refused(inPlainWords(response, answer));
  return { answer, nextUrl: nextUrlOf(response) };
}

function postOf(body) {
  return { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

function inPlainWords(response, answer) {
  if (Array.isArray(answer)) {
    return answer.map((code) => REFUSALS[code] ?? `The server refused this: ${code}.`).join(' ');
  }
  if (!answer?.title) return `The server gave an answer this page cannot read (status ${response.status}).`;
  return [answer.title, answer.detail].filter(Boolean).join(': ');
}

function traceIdOf(response, answer) {
  const timing = response.headers.get('server-timing') ?? '';
  const [, id, flags] = timing.match(/traceparent;desc="00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})"/) ?? [];
  // The sampler may have decided against it: then there is nothing to look at.
  if (flags && !(parseInt(flags, 16) & 1)) return null;
  return id ?? answer?.trace_id;
}

function nextUrlOf(response) {
  const target = (response.headers.get('link') ?? '').match(/<([^>]*)>[^,<]*\brel="?next\b/)?.[1];
  if (!target) return null;
  // Only path and query: behind a proxy the backend may name a host the browser cannot reach.
  const { pathname, search } = new URL(target, location.origin);
  return pathname + search;
}

// A laptop whose clock is an hour fast must not see fresh cruds as expired.
let clockSkewMs = 0;
const serverNow = () => Date.now() + clockSkewMs;

function noteServerClock(response) {
  const serverTime = Date.parse(response.headers.get('date'));
  if (serverTime) clockSkewMs = serverTime - Date.now();
}

// ---- The trace of the latest action

let latestTrace = null;
let hasTraceViewer = false;

function showTrace(action, id, ms) {
  latestTrace = id ? { id, label: `Trace ${id.slice(0, 8)}… ${Math.round(ms)} ms` } : null;
  byId('action').textContent = action;
  paintTrace();
}

function paintTrace() {
  byId('latest').hidden = !latestTrace;
  byId('page-load').hidden = !loadTraceId;
  if (loadTraceId) {
    const label = `Trace ${loadTraceId.slice(0, 8)}…`;
    document.querySelector('[data-load-slot]').replaceChildren(traceElement({ id: loadTraceId, label }, 'load-trace-link'));
  }
  for (const slot of document.querySelectorAll('[data-trace-slot]')) {
    slot.replaceChildren(...(latestTrace ? [traceElement(latestTrace, slot.dataset.traceSlot)] : []));
  }
}

function traceElement({ id, label }, testId) {
  const element = document.createElement(hasTraceViewer ? 'a' : 'button');
  Object.assign(element, { className: 'trace', textContent: label });
  Object.assign(element.dataset, { testid: testId, traceId: id });
  if (hasTraceViewer) element.href = `/traces/#${id}`;
  else Object.assign(element, { type: 'button', title: 'Copy the trace id', onclick: () => copyTraceId(element, id) });
  return element;
}

async function copyTraceId(element, id) {
  try {
    await navigator.clipboard.writeText(id);
    element.textContent = 'Copied the trace id';
    setTimeout(paintTrace, COPIED_MS);
  } catch {
    // The clipboard needs https or localhost; elsewhere the id can still be selected.
    element.textContent = id;
  }
}

async function lookForTraceViewer() {
  const response = await fetch('/traces/', { method: 'HEAD' }).catch(() => null);
  hasTraceViewer = response?.ok ?? false;
  byId('traces-link').hidden = !hasTraceViewer;
  paintTrace();
}

// ---- Views: home, a profile, a search

function viewAt(hash) {
  const [, handle, term] = decoded(hash).match(/^#\/(?:@(.+)|search\/(.+))$/s) ?? [];
  if (handle) {
    return {
      title: `@${handle}`,
      name: 'view.profile',
      action: 'Open profile',
      url: `/api/activities/@${encodeURIComponent(handle)}`,
      empty: `@${handle} has no cruds right now.`,
      whenMissing: `Nobody here is called @${handle}.`,
    };
  }
  if (term) {
    return {
      title: `Search: ${term}`,
      name: 'view.search',
      action: 'Search',
      url: `/api/activities/search?${new URLSearchParams({ term })}`,
      empty: `No crud says “${term}”. It may have expired.`,
      term,
    };
  }
  return { title: 'Home', name: 'view.home', action: 'Load home', url: '/api/activities/home', empty: 'No cruds yet. Write the first one.', isHome: true };
}

function decoded(hash) {
  try {
    return decodeURIComponent(hash);
  } catch {
    return '';
  }
}

function openView() {
  const view = viewAt(location.hash);
  document.title = `${view.title} · Cruddur`;
  byId('view-title').textContent = view.title;
  byId('empty').textContent = view.empty;
  byId('search-term').value = view.term ?? '';
  byId('search-error').hidden = true;
  byId('profile').hidden = true;
  crudForm.hidden = !view.isHome;
  markCurrentLink(view);
  feed.replaceChildren();
  window.scrollTo(0, 0);
  return loadPage(view, view.url);
}

function markCurrentLink(view) {
  for (const link of document.querySelectorAll('.links a')) {
    link.ariaCurrent = link.hash && viewAt(link.hash).url === view.url ? 'page' : null;
  }
}

let currentLoad = null;

async function loadPage(view, url) {
  currentLoad?.abort();
  currentLoad = new AbortController();
  const { signal } = currentLoad;
  byId('more').hidden = true;
  setFeedState('loading');
  try {
    const { answer, nextUrl } = await callApi(view.name, view.action, url, { signal, whenMissing: view.whenMissing });
    if (answer.profile) showProfile(answer.profile);
    feed.append(...(answer.activities ?? answer).filter(isNew).map((crud) => crudItem(crud)));
    byId('more').hidden = !nextUrl;
    byId('more').onclick = () => loadPage({ ...view, name: 'view.more', action: 'Load more' }, nextUrl);
    setFeedState('ready');
  } catch (failure) {
    if (signal.aborted) return;
    byId('failure').textContent = wordsFor(failure);
    byId('retry').onclick = () => loadPage(view, url);
    setFeedState('error');
  }
}

function setFeedState(state) {
  feed.dataset.state = state;
  feed.setAttribute('aria-busy', state === 'loading');
}

function wordsFor(failure) {
  if (failure instanceof Refused) return failure.message;
  console.error(failure);
  return 'Something went wrong on this page. Reload it and try again.';
}

// A crud written between two pages pushes one already shown onto the next.
const isNew = ({ uuid }) => !feed.querySelector(`:scope > [data-uuid="${CSS.escape(uuid)}"]`);

function showProfile({ handle, display_name, bio, cruds_count }) {
  const profile = byId('profile');
  paintAvatar(profile, handle, display_name);
  setText(profile, '.name', display_name);
  setText(profile, '.handle', `@${handle}`);
  setText(profile, '.bio', bio ?? '');
  setText(profile, '.cruds-count', counted(cruds_count, 'crud', 'cruds'));
  profile.hidden = false;
}

// ---- A crud and its replies

function crudItem(activity, isReply = false) {
  const item = stamped('crud-template');
  item.dataset.uuid = activity.uuid;
  paintAvatar(item, activity.handle, activity.display_name);
  item.querySelector('.who').href = `#/@${encodeURIComponent(activity.handle)}`;
  setText(item, '.name', activity.display_name);
  setText(item, '.handle', `@${activity.handle}`);
  setText(item, '.message', activity.message);
  setText(item, '.counts', countsOf(activity));
  setTime(item.querySelector('.age'), activity.created_at);
  setTime(item.querySelector('.left-text'), activity.expires_at);
  item.querySelector('.answering').hidden = isReply || !activity.reply_to_activity_uuid;
  item.querySelector('.reply-button').addEventListener('click', () => toggleReplyForm(item, activity));
  const replies = (activity.replies ?? []).toSorted((a, b) => Date.parse(a.created_at) - Date.parse(b.created_at));
  item.querySelector('.replies').append(...replies.map((reply) => crudItem(reply, true)));
  paintClock(item);
  return item;
}

function toggleReplyForm(item, activity) {
  const openForm = item.querySelector(':scope > .reply');
  if (openForm) closeReplyForm(item, openForm);
  else openReplyForm(item, activity);
}

function closeReplyForm(item, form) {
  const button = item.querySelector('.reply-button');
  form.remove();
  button.ariaExpanded = 'false';
  button.focus();
}

function openReplyForm(item, activity) {
  const form = stamped('reply-template');
  setText(form, '.quote b', `@${activity.handle}`);
  setText(form, '.quote span', activity.message);
  form.ariaLabel = `Reply to @${activity.handle}`;
  form.querySelector('.cancel').addEventListener('click', () => closeReplyForm(item, form));
  wireComposer(form, REPLY_MAX_CHARS, async ({ message }) => {
    const { answer: reply } = await callApi('reply.post', 'Post reply', `/api/activities/${encodeURIComponent(activity.uuid)}/reply`, {
      body: { message },
      whenMissing: 'That crud is gone: it expired before your reply arrived.',
    });
    activity.replies_count += 1;
    setText(item, '.counts', countsOf(activity));
    item.querySelector('.replies').append(freshItem(reply, true));
    closeReplyForm(item, form);
  });
  item.querySelector('.crud-card').after(form);
  item.querySelector('.reply-button').ariaExpanded = 'true';
  form.elements.message.focus();
}

function freshItem(activity, isReply) {
  const item = crudItem(activity, isReply);
  item.classList.add('fresh');
  return item;
}

function countsOf({ replies_count, reposts_count, likes_count }) {
  return [
    replies_count && counted(replies_count, 'reply', 'replies'),
    reposts_count && counted(reposts_count, 'repost', 'reposts'),
    likes_count && counted(likes_count, 'like', 'likes'),
  ].filter(Boolean).join(' · ');
}

const counted = (count, one, many) => `${count} ${count === 1 ? one : many}`;

// ---- Writing

function wireComposer(form, maxChars, send) {
  const text = form.elements.message;
  const submit = form.querySelector('[type=submit]');
  const counter = form.querySelector('.counter');
  const error = form.querySelector('.form-error');
  let sending = false;
  const refresh = () => {
    const left = maxChars - [...text.value.normalize('NFC')].length;
    counter.value = left;
    counter.classList.toggle('over', left < 0);
    text.setAttribute('aria-invalid', left < 0);
    submit.disabled = sending || left < 0 || !text.value.trim();
  };
  const setSending = (value) => {
    sending = value;
    text.readOnly = value;
    refresh();
  };
  text.addEventListener('input', refresh);
  text.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && !submit.disabled) form.requestSubmit();
  });
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (submit.disabled) return;
    error.hidden = true;
    setSending(true);
    try {
      await send(Object.fromEntries(new FormData(form)));
      text.value = '';
    } catch (failure) {
      error.textContent = wordsFor(failure);
      error.hidden = false;
    }
    setSending(false);
  });
  refresh();
}

async function postCrud({ message, ttl }) {
  const { answer: crud } = await callApi('crud.post', 'Post crud', '/api/activities', { body: { message, ttl } });
  if (viewAt(location.hash).isHome && isNew(crud)) feed.prepend(freshItem(crud));
}

function startCrud() {
  if (crudForm.hidden) {
    location.hash = '#/';
    crudForm.hidden = false;
  }
  crudForm.elements.message.focus();
}

function search(event) {
  event.preventDefault();
  const term = byId('search-term').value.trim();
  byId('search-error').textContent = REFUSALS.search_term_blank;
  byId('search-error').hidden = term !== '';
  if (!term) return;
  const hash = `#/search/${encodeURIComponent(term)}`;
  if (location.hash === hash) openView();
  else location.hash = hash;
}

// ---- Time: ages grow, fuses burn down

function paintClock(item) {
  const age = item.querySelector('.age');
  const left = item.querySelector('.left');
  const ageMs = serverNow() - Date.parse(age.dateTime);
  const leftMs = Date.parse(left.querySelector('time').dateTime) - serverNow();
  age.textContent = ageMs < 5000 ? 'now' : shortSpan(ageMs);
  left.hidden = Number.isNaN(leftMs);
  left.classList.toggle('soon', leftMs < HOUR_MS);
  setText(left, 'time', `${shortSpan(Math.max(leftMs, 0))} left`);
  if (leftMs <= 0 && !item.classList.contains('expired')) blowUp(item);
}

function blowUp(item) {
  item.classList.add('expired');
  setTimeout(() => item.remove(), FADE_MS);
}

function shortSpan(ms) {
  const [size, unit] = SPANS.find(([span]) => ms >= span) ?? SPANS.at(-1);
  return `${Math.floor(ms / size)}${unit}`;
}

// ---- Small tools for the page

const stamped = (templateId) => byId(templateId).content.firstElementChild.cloneNode(true);

const setText = (root, selector, text) => { root.querySelector(selector).textContent = text; };

function setTime(element, instant) {
  if (!instant) return;
  element.dateTime = instant;
  element.title = new Date(instant).toLocaleString();
}

function paintAvatar(root, handle, displayName) {
  const avatar = root.querySelector('.avatar');
  const hue = [...handle].reduce((sum, char) => (sum * 31 + char.codePointAt(0)) % 360, 7);
  avatar.style.setProperty('--hue', hue);
  avatar.textContent = [...(displayName || handle)][0] ?? '?';
}

// ---- Start

wireComposer(crudForm, CRUD_MAX_CHARS, postCrud);
byId('crud-button').addEventListener('click', startCrud);
byId('search-form').addEventListener('submit', search);
byId('explanation').open = matchMedia('(min-width: 1000px)').matches;
window.addEventListener('hashchange', openView);
document.addEventListener('click', ({ target }) => {
  const link = target.closest('a[href^="#/"]');
  if (link && link.hash === location.hash) openView();
});
setInterval(() => document.querySelectorAll('.crud').forEach(paintClock), 1000);
lookForTraceViewer();
openView();
