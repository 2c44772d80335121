// The middle column: opens the view for the address, and shows it page by page.

import { CRUD_MAX_CHARS, wordsFor, SignInNeeded } from '/api.js';
import { wireComposer } from '/forms.js';
import { freshItem, paintAllActions } from '/cruds.js';
import { byId } from '/page.js';
import { hideProfile, paintProfileActions } from '/profile.js';
import { act, askToSignIn, perform, requireUser, sessionIsKnown, signedIn, whenSessionChanges } from '/session.js';
import { viewAt } from '/views.js';

const feed = byId('feed');
const crudForm = byId('crud-form');

let currentLoad = null;

export async function openView() {
  const view = viewAt(location.hash);
  currentLoad?.abort();
  const load = currentLoad = new AbortController();
  paintFrame(view);
  if (view.needsUser) {
    setFeedState('loading');
    await sessionIsKnown;
    if (load.signal.aborted) return;
    if (!signedIn()) return askFor(view);
    // The address may resolve to more now that the user is known.
    const { elsewhere } = viewAt(location.hash);
    if (elsewhere) return location.replace(elsewhere);
  }
  return loadPage(view, view.url);
}

function paintFrame(view) {
  document.title = `${view.title} · Cruddur`;
  byId('view-title').textContent = view.title;
  byId('empty').textContent = view.empty;
  byId('search-term').value = view.term ?? '';
  byId('search-error').hidden = true;
  byId('message-form').hidden = true;
  byId('more').textContent = view.older ?? 'Load more';
  byId('more').hidden = true;
  byId('prompt').hidden = !view.isHome && !view.needsUser;
  byId('prompt-text').textContent = view.needsUser ?? 'Join to crud, reply, like and write messages.';
  crudForm.hidden = !view.isHome;
  feed.ariaLabel = view.label ?? (view.isHome ? 'Cruds' : view.title);
  hideProfile();
  markCurrentLink(view);
  feed.replaceChildren();
  if (view.isNewestLast) feed.before(byId('more'));
  else feed.after(byId('more'));
  window.scrollTo(0, 0);
}

function markCurrentLink(view) {
  for (const link of document.querySelectorAll('.links a')) {
    link.ariaCurrent = link.hash && link.hash === view.link ? 'page' : null;
  }
}

function askFor(view) {
  byId('empty').textContent = '';
  setFeedState('ready');
  askToSignIn(view.needsUser);
}

// ---- Pages

async function loadPage(view, url) {
  currentLoad?.abort();
  currentLoad = new AbortController();
  const { signal } = currentLoad;
  byId('more').hidden = true;
  setFeedState('loading');
  const call = [view.action, url, { signal, words: view.words }];
  try {
    const { answer, nextUrl } = await perform(view.name, (ask) => (view.load ? view.load(ask, ...call) : ask(...call)));
    if (view.isMore && view.addMore) view.addMore(answer);
    else show(view, answer);
    byId('more').hidden = !nextUrl;
    byId('more').onclick = () => loadMore(view, nextUrl);
    setFeedState('ready');
    view.arrived?.(answer);
  } catch (failure) {
    if (signal.aborted || failure instanceof SignInNeeded) return;
    byId('failure').textContent = wordsFor(failure);
    byId('retry').onclick = () => loadPage(view, url);
    setFeedState('error');
  }
}

// The button is hidden while loading, so the first new item gets the focus.
async function loadMore(view, url) {
  const { scrollHeight } = document.documentElement;
  const known = feed.children.length;
  await loadPage({ ...view, name: 'view.more', action: 'Load more', load: null, arrived: null, isMore: true }, url);
  const added = feed.children.length - known;
  if (added < 1) return;
  if (view.isNewestLast) window.scrollBy(0, document.documentElement.scrollHeight - scrollHeight);
  feed.children[view.isNewestLast ? added - 1 : known].querySelector('a')?.focus({ preventScroll: true });
}

function show(view, answer) {
  const items = view.entries(answer).filter((entry) => view.mayRepeat || isNew(entry)).map((entry) => view.item(entry));
  if (view.isNewestLast) feed.prepend(...items);
  else feed.append(...items);
}

function setFeedState(state) {
  feed.dataset.state = state;
  feed.ariaBusy = state === 'loading';
}

// A crud posted between two page loads moves one that is already shown to the next page.
const isNew = ({ uuid }) => !feed.querySelector(`:scope > [data-uuid="${CSS.escape(uuid)}"]`);

// ---- Writing a crud

function startCrud() {
  if (!requireUser('Sign in to write a crud.')) return;
  if (crudForm.hidden) {
    location.hash = '#/';
    crudForm.hidden = false;
  }
  crudForm.elements.message.focus();
}

async function postCrud({ message, ttl }, key) {
  const { answer: crud } = await act('crud.post', 'Post crud', '/api/activities', { body: { message, ttl }, key });
  if (viewAt(location.hash).isHome && isNew(crud)) feed.prepend(freshItem(crud));
}

export function wireFeed() {
  wireComposer(crudForm, CRUD_MAX_CHARS, postCrud);
  byId('crud-button').addEventListener('click', startCrud);
  whenSessionChanges(() => {
    paintAllActions();
    paintProfileActions();
  });
}
