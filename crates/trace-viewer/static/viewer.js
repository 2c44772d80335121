import { byId } from './format.js';
import { TraceList } from './list.js';
import { Waterfall } from './waterfall.js';
import { Documents } from './xray.js';

const list = new TraceList();
const waterfall = new Waterfall(() => documents.refresh());
const documents = new Documents(waterfall);
const moves = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity };
const views = { spans: waterfall, documents };
const view = () => (documents.active ? documents : waterfall);

function route() {
  const [, traceId, xray, id] = /^#([0-9a-f]{32})(\/xray)?(?:\/([0-9a-f]{16}(?:-caller)?))?$/i.exec(location.hash) ?? [];
  for (const part of ['list', 'list-tools']) byId(part).hidden = Boolean(traceId);
  for (const part of ['trace', 'trace-tools']) byId(part).hidden = !traceId;
  if (traceId) {
    list.hide();
    byId('spans').hidden = Boolean(xray);
    byId('documents').hidden = !xray;
    const before = view();
    const ids = [traceId.toLowerCase(), id?.toLowerCase() ?? null];
    waterfall.show(...ids, !xray);
    documents.show(...ids, Boolean(xray));
    linkViews();
    if (view() !== before) view().grid.focus({ preventScroll: true });
  } else {
    document.title = 'Cruddur traces';
    waterfall.hide();
    documents.hide();
    list.show();
  }
}

// The other view's link shows the same operation, if that view knows it.
function linkViews() {
  const { selected } = view();
  for (const [name, target] of Object.entries(views)) {
    const link = byId(`to-${name}`);
    link.href = target.link(waterfall.knows(selected, name === 'documents') ? selected : null);
    if (target.active) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
}

function traceKey(event) {
  const { key, target } = event;
  if (key === 'Escape') {
    location.hash = '#';
    return true;
  }
  if (target.closest('button, a, summary')) {
    if (key === 'Enter' || key === ' ') return false;
  }
  // The arrow keys scroll the panel once it has the focus; j and k still move between rows.
  if (target.closest('.details') && key !== 'j' && key !== 'k' && key !== 'x') return false;
  if (key in moves) view().move(moves[key]);
  else if (key === 'ArrowRight') view().open();
  else if (key === 'ArrowLeft') view().close();
  else if (key === 'Enter' || key === ' ') view().enter();
  else if (key === 'x') byId(documents.active ? 'to-spans' : 'to-documents').click();
  else return false;
  return true;
}

function listKey({ key, target }) {
  if (key !== '/' || target.matches('input')) return false;
  byId('filter').focus();
  return true;
}

for (const one of Object.values(views)) one.chosen = linkViews;
byId('collapse-all').addEventListener('click', () => view().collapseAll());
byId('expand-all').addEventListener('click', () => view().expandAll());
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const handled = waterfall.traceId ? traceKey(event) : listKey(event);
  if (handled) event.preventDefault();
});
window.addEventListener('hashchange', route);
route();
