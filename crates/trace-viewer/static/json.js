// Shows JSON exactly as it was written: JSON.parse would round numbers, decode escapes and reorder keys. The text must be valid JSON. Folded parts are not in
// the page.
import { el, plain } from './format.js';

const TOKEN = /[{}[\],:]|"[^"\\]*(?:\\.[^"\\]*)*"|[^\s{}[\],:"]+/g;
const CLOSE = { '{': '}', '[': ']' };
// How many characters of a text, and members of an object or array, are shown at first.
const LONGEST = 1000;
const MOST = 200;

// A tree of { key, text } and { key, brackets, items, start, end }; keys are as written, in quotes.
export function parse(text) {
  const root = { items: [] };
  const stack = [root];
  let key = null;
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    const { items } = stack.at(-1);
    if (token in CLOSE) {
      const node = { key, brackets: token, items: [], start: index };
      items.push(node);
      stack.push(node);
      key = null;
    } else if (token === '}' || token === ']') stack.pop().end = index + 1;
    else if (token === ':') key = items.pop().text;
    else if (token !== ',') {
      items.push({ key, text: token });
      key = null;
    }
  }
  return root.items[0];
}

const member = (node, key) => node.items?.find((item) => item.key === `"${key}"`);

// The part of a document that describes this segment or subsegment.
export function findById(node, id) {
  if (member(node, 'id')?.text.toLowerCase() === `"${id}"`) return node;
  for (const nested of member(node, 'subsegments')?.items ?? []) {
    const found = findById(nested, id);
    if (found) return found;
  }
  return null;
}

const kindOf = (text) => (text.startsWith('"') ? 'string' : 'scalar');
const keyOf = (node) => (node.key === null ? [] : [el('span', { class: 'key' }, plain(node.key)), ': ']);

// `comma` follows the value; members of the first levels are open.
export function tree(node, levels = 1, comma = '') {
  if (!node.items) return el('div', { class: 'line' }, ...keyOf(node), el('span', { class: kindOf(node.text) }, plain(node.text, LONGEST)), comma);
  const close = CLOSE[node.brackets] + comma;
  if (node.items.length === 0) return el('div', { class: 'line' }, ...keyOf(node), node.brackets, close);
  const count = `${node.items.length.toLocaleString('en')} ${node.brackets === '{' ? 'fields' : 'items'}`;
  const fold = el('details', { toggle: fill },
    el('summary', {}, ...keyOf(node), node.brackets, el('span', { class: 'folded' }, ` ${count} ${close}`)));
  function fill() {
    if (fold.open && fold.childElementCount === 1) fold.append(members(node, levels - 1), el('div', { class: 'line' }, close));
  }
  fold.open = levels > 0;
  fill();
  return fold;
}

function members(node, levels) {
  const box = el('div', { class: 'members' });
  const more = (from) => {
    const to = Math.min(from + MOST, node.items.length);
    box.append(...node.items.slice(from, to).map((item, i) => {
      // Other operations are listed below, in their own rows.
      const inner = item.key === '"subsegments"' ? 0 : levels;
      return tree(item, inner, from + i + 1 < node.items.length ? ',' : '');
    }));
    const left = node.items.length - to;
    if (left > 0) box.append(el('button', { type: 'button', class: 'copy', click: (event) => { event.target.remove(); more(to); } }, `${left.toLocaleString('en')} more`));
  };
  more(0);
  return box;
}
