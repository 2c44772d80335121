// Formatting and small DOM helpers. Nothing here parses received text as markup.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined) continue;
    if (key.startsWith('--')) node.style.setProperty(key, value);
    else if (typeof value === 'function') node.addEventListener(key, value);
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// Parses JSON with exact integers: an integer that a double would round becomes a BigInt.
export function parseExact(text) {
  if (!/[:[,]\s*-?\d{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(text, (key, value, context) => {
    const rounded = typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? '');
    return rounded ? BigInt(context.source) : value;
  });
}

export const toJson = (value) => JSON.stringify(value, (key, inner) => (typeof inner === 'bigint' ? JSON.rawJSON(String(inner)) : inner));

export const byId = (id) => document.getElementById(id);

// Control and bidirectional characters could make one name look like another.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

export function plain(text, length = 400) {
  const short = text.length > length ? `${text.slice(0, length)}…` : text;
  return short.replace(UNSEEN, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

export const plural = (count, word, words = `${word}s`) => `${count.toLocaleString('en')} ${count === 1 ? word : words}`;

function decimals(value) {
  if (value < 10) return value.toFixed(2);
  return value.toFixed(value < 100 ? 1 : 0);
}

export function duration(ms) {
  if (ms === null || ms === undefined) return 'in progress';
  const size = Math.abs(ms);
  if (size === 0) return '0 ms';
  if (size >= 120_000) return `${Math.floor(ms / 60_000)} m ${Math.round((ms % 60_000) / 1000)} s`;
  const [value, unit] = size >= 1000 ? [ms / 1000, 's'] : size >= 1 ? [ms, 'ms'] : [ms * 1000, 'µs'];
  const digits = decimals(Math.abs(value));
  return `${value < 0 ? '−' : ''}${digits} ${unit}`;
}

export const offset = (nanos) => `${nanos < 0n ? '' : '+'}${duration(Number(nanos) / 1e6)}`;

export function bytes(count) {
  if (count < 1024) return `${count} B`;
  const mebi = count / 1048576;
  return mebi < 1 ? `${(count / 1024).toFixed(0)} KiB` : `${mebi.toFixed(mebi < 10 ? 1 : 0)} MiB`;
}

export function timeOfDay(rfc3339) {
  const date = new Date(rfc3339);
  if (Number.isNaN(date.getTime())) return rfc3339;
  const clock = date.toLocaleTimeString('en-GB', { hour12: false });
  return `${clock}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

export function nanos(text) {
  return /^\d{1,20}$/.test(text ?? '') ? BigInt(text) : 0n;
}

// Date keeps only milliseconds; event offsets need the precision that the sender measured.
export function nanosOfRfc3339(text) {
  const [, seconds, fraction = '', zone] = /^([^.]+?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/i.exec(text ?? '') ?? [];
  const ms = Date.parse(`${seconds}${zone}`);
  if (Number.isNaN(ms)) return null;
  return BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0').slice(0, 9));
}

export const xrayId = (traceId) => `1-${traceId.slice(0, 8)}-${traceId.slice(8)}`;

// FNV-1a spread by the golden ratio; the arc omits red, which means an error.
export function hue(service) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < service.length; i += 1) hash = Math.imul(hash ^ service.charCodeAt(i), 0x01000193);
  return 60 + ((hash >>> 0) * 0.6180339887 % 1) * 270;
}

export function chip(service) {
  return el('span', { class: 'chip', title: plain(service), '--hue': hue(service) }, el('span', {}, plain(service)));
}

export function niceStep(total, wanted) {
  const raw = total / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  return power * ([1, 2, 5].find((factor) => factor * power >= raw) ?? 10);
}

// Copies the text that `read` returns. Without a clipboard (outside a secure context), `shown` is left selected for the user.
export function copyButton(label, shown, read) {
  const button = el('button', { type: 'button', class: 'copy', 'aria-label': label, click: copy }, 'Copy');
  async function copy() {
    try {
      await navigator.clipboard.writeText(read());
      button.textContent = 'Copied';
    } catch {
      getSelection().selectAllChildren(shown);
      button.textContent = 'Selected';
    }
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  }
  return button;
}

export function copyable(text) {
  const code = el('code', {}, text);
  return el('span', { class: 'copyable' }, code, copyButton(`Copy ${plain(text, 60)}`, code, () => text));
}

export function attributes(values) {
  const entries = Object.entries(values ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  if (entries.length === 0) return el('p', { class: 'none' }, 'none');
  return el('table', { class: 'attributes' }, el('tbody', {}, ...entries.map(([key, value]) =>
    el('tr', {}, el('th', { scope: 'row' }, key), el('td', {}, el('div', {}, typeof value === 'string' ? value : toJson(value)))))));
}
