import { byId } from './format.js';
import { TraceList } from './list.js';
import { Waterfall } from './waterfall.js';

const list = new TraceList();
const waterfall = new Waterfall();
const moves = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity };

function route() {
  const [, traceId, spanId] = /^#([0-9a-f]{32})(?:\/([0-9a-f]{16}))?$/i.exec(location.hash) ?? [];
  for (const id of ['list', 'list-tools']) byId(id).hidden = Boolean(traceId);
  for (const id of ['trace', 'trace-tools']) byId(id).hidden = !traceId;
  if (traceId) {
    list.hide();
    waterfall.show(traceId.toLowerCase(), spanId?.toLowerCase() ?? null);
  } else {
    document.title = 'Cruddur traces';
    waterfall.hide();
    list.show();
  }
}

function traceKey(event) {
  const { key, target } = event;
  if (key === 'Escape') {
    location.hash = '#';
    return true;
  }
  if (target.closest('button, a')) {
    if (key === 'Enter' || key === ' ') return false;
  }
  // The panel scrolls with the arrow keys once it has the focus; j and k go on moving.
  if (target.closest('.details') && key !== 'j' && key !== 'k') return false;
  if (key in moves) waterfall.move(moves[key]);
  else if (key === 'ArrowRight') waterfall.open();
  else if (key === 'ArrowLeft') waterfall.close();
  else if (key === 'Enter' || key === ' ') waterfall.enter();
  else return false;
  return true;
}

function listKey({ key, target }) {
  if (key !== '/' || target.matches('input')) return false;
  byId('filter').focus();
  return true;
}

byId('collapse-all').addEventListener('click', () => waterfall.collapseAll());
byId('expand-all').addEventListener('click', () => waterfall.expandAll());
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const handled = waterfall.traceId ? traceKey(event) : listKey(event);
  if (handled) event.preventDefault();
});
window.addEventListener('hashchange', route);
route();
