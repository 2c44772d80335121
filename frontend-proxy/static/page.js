// Small helpers for the page, and its clock, which updates ages and remaining lifetimes. Users' text becomes text nodes, never markup.

const FADE_MS = 600;
const NEWS_MS = 12_000;
const HOUR_MS = 3_600_000;
const SPANS = [[24 * HOUR_MS, 'd'], [HOUR_MS, 'h'], [HOUR_MS / 60, 'm'], [1000, 's']];
// As the API parses them: a hashtag contains a letter, and a handle is 1 to 30 ASCII letters, digits and _.
const LINKS = /#(?=[\p{N}\p{M}_]*\p{L})[\p{L}\p{N}\p{M}_]+|(?<![\p{L}\p{N}_.@-])@[A-Za-z0-9_]{1,30}(?![\p{L}\p{N}_])/gu;

export const byId = (id) => document.getElementById(id);

export const stamped = (templateId) => byId(templateId).content.firstElementChild.cloneNode(true);

export const setText = (root, selector, text) => { root.querySelector(selector).textContent = text; };

const segmenter = new Intl.Segmenter();
const CLUSTER = 16;

export const characters = (text) => Array.from(segmenter.segment(text.normalize('NFC')), ({ segment }) => segment);

// Counts as the API does: one for each character that a person sees, and several for a very long one.
export const lengthOf = (text) => characters(text).reduce((sum, one) => sum + Math.ceil([...one].length / CLUSTER), 0);

export const counted = (count, one, many) => `${count} ${count === 1 ? one : many}`;

export function paintAvatar(root, handle, displayName) {
  const avatar = root.querySelector('.avatar');
  const hue = [...handle].reduce((sum, char) => (sum * 31 + char.codePointAt(0)) % 360, 7);
  avatar.style.setProperty('--hue', hue);
  avatar.textContent = characters(displayName || handle)[0] ?? '?';
}

// ---- Links

export const profileHash = (handle) => `#/@${encodeURIComponent(handle)}`;
export const crudHash = ({ handle, uuid }) => `${profileHash(handle)}/status/${encodeURIComponent(uuid)}`;
export const searchHash = (term) => `#/search/${encodeURIComponent(term)}`;
export const conversationHash = (handle) => `#/messages/@${encodeURIComponent(handle)}`;

export function linkTo(hash, text) {
  const link = document.createElement('a');
  return Object.assign(link, { href: hash, textContent: text, dir: 'auto' });
}

// A text whose hashtags link to a search, and whose handles link to a profile.
export function linked(text) {
  const parts = [];
  let end = 0;
  for (const { 0: word, index } of text.matchAll(LINKS)) {
    const hash = word.startsWith('#') ? searchHash(word) : profileHash(word.slice(1).toLowerCase());
    parts.push(text.slice(end, index), linkTo(hash, word));
    end = index + word.length;
  }
  return [...parts, text.slice(end)];
}

// ---- Notices, shown for a while

let newsTimer = null;

export function say(text) {
  byId('news').textContent = text;
  clearTimeout(newsTimer);
  newsTimer = setTimeout(() => { byId('news').textContent = ''; }, NEWS_MS);
}

// ---- The clock

// A laptop whose clock is an hour fast must not see fresh cruds as expired.
let clockSkewMs = 0;
export const serverNow = () => Date.now() + clockSkewMs;

export function noteServerClock(response) {
  const serverTime = Date.parse(response.headers.get('date'));
  if (serverTime) clockSkewMs = serverTime - Date.now();
}

export function setTime(element, instant) {
  if (!instant) return;
  element.dateTime = instant;
  element.title = new Date(instant).toLocaleString();
}

export function paintTimes(root) {
  root.querySelectorAll('.age').forEach(paintAge);
  root.querySelectorAll('.left').forEach(paintFuse);
}

function paintAge(age) {
  const ms = serverNow() - Date.parse(age.dateTime);
  age.textContent = ms < 5000 ? 'now' : shortSpan(ms);
}

function paintFuse(left) {
  const ms = Date.parse(left.querySelector('time').dateTime) - serverNow();
  left.hidden = Number.isNaN(ms);
  left.classList.toggle('soon', ms < HOUR_MS);
  setText(left, 'time', `${shortSpan(Math.max(ms, 0))} left`);
  if (ms <= 0) blowUp(left.closest('.crud'));
}

export function blowUp(item) {
  if (item.classList.contains('expired')) return;
  item.classList.add('expired');
  setTimeout(() => item.remove(), FADE_MS);
}

function shortSpan(ms) {
  const [size, unit] = SPANS.find(([span]) => ms >= span) ?? SPANS.at(-1);
  return `${Math.floor(ms / size)}${unit}`;
}
