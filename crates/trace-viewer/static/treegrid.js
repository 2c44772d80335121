// A tree as a grid whose rows are in the page only while they are in view. A subclass decides what a row shows: it has `cells(row, open)`, `details(row)` and
// `link(id)`.
import { el } from './format.js';

const ROW_PX = 26;
const OVERSCAN = 20;
const MAX_INDENT = 16;

export class TreeGrid {
  constructor(view, kind) {
    this.view = view;
    this.kind = kind;
    this.grid = view.querySelector('.grid');
    this.body = view.querySelector('.rows');
    this.panel = view.querySelector('.details');
    this.active = false;
    this.clear();
    this.grid.addEventListener('scroll', () => requestAnimationFrame(() => this.renderWindow()));
    this.body.addEventListener('click', (event) => this.click(event));
    new ResizeObserver(() => this.renderWindow(true)).observe(this.grid);
  }

  clear() {
    clearTimeout(this.hashTimer);
    this.selected = null;
    this.rows = [];
    this.rowsById = new Map();
    this.visible = [];
    this.collapsed = new Set();
    this.rendered = new Map();
  }

  refold() {
    this.visible = unfolded(this.rows, this.collapsed);
    this.body.style.height = `${this.visible.length * ROW_PX}px`;
    this.grid.setAttribute('aria-rowcount', String(this.visible.length + 1));
    this.renderWindow(true);
  }

  collapseAll() {
    this.fold(this.rows.filter((row) => row.kids > 0));
  }

  expandAll() {
    this.fold([]);
  }

  fold(rows) {
    this.collapsed = new Set(rows.map((row) => row.id));
    this.refold();
    this.keepSelectionVisible();
  }

  toggle(row) {
    if (!this.collapsed.delete(row.id)) this.collapsed.add(row.id);
    this.refold();
    this.keepSelectionVisible();
  }

  keepSelectionVisible() {
    let top = this.rowsById.get(this.selected);
    for (let above = top?.above; above; above = above.above) if (this.collapsed.has(above.id)) top = above;
    if (top && top.id !== this.selected) this.select(top.id);
  }

  renderWindow(fresh = false) {
    if (this.grid.clientHeight === 0) return;
    const first = Math.max(0, Math.floor(this.grid.scrollTop / ROW_PX) - OVERSCAN);
    const last = Math.min(this.visible.length, Math.ceil((this.grid.scrollTop + this.grid.clientHeight) / ROW_PX) + OVERSCAN);
    if (fresh) {
      this.rendered.clear();
      this.renderColumns();
    } else if (first === this.first && last === this.last) return;
    [this.first, this.last] = [first, last];
    const kept = new Map();
    const fragment = document.createDocumentFragment();
    for (let i = first; i < last; i += 1) {
      const node = this.rendered.get(i) ?? this.rowNode(this.visible[i], i);
      kept.set(i, node);
      fragment.append(node);
    }
    this.rendered = kept;
    this.body.replaceChildren(fragment);
  }

  renderColumns() {}

  chosen() {}

  rowNode(row, index) {
    const open = row.kids ? String(!this.collapsed.has(row.id)) : null;
    return el('div', {
      role: 'row', class: `row ${this.kind}${row.error ? ' failed' : ''}`, id: `${this.kind}-${row.id}`,
      'data-testid': `${this.kind}-row`, 'data-row-id': row.id, [`data-${this.kind}-id`]: row.id,
      'aria-rowindex': index + 2, 'aria-level': row.depth + 1,
      'aria-expanded': open, 'aria-selected': String(row.id === this.selected), '--top': `${index * ROW_PX}px`,
    }, ...this.cells(row, open));
  }

  // The part before the name in a row's first cell.
  branch(row, open) {
    const toggle = el('span', { class: open ? 'toggle' : 'toggle leaf', 'data-open': open, 'aria-hidden': 'true' });
    const hidden = this.collapsed.has(row.id) ? el('span', { class: row.hiddenErrors ? 'hidden-count error' : 'hidden-count' }, `+${row.hidden}`) : '';
    return [el('span', { class: 'indent', '--depth': Math.min(row.depth, MAX_INDENT) }), toggle, hidden];
  }

  click(event) {
    const row = this.rowsById.get(event.target.closest('[data-row-id]')?.dataset.rowId);
    if (!row) return;
    if (row.kids && event.target.closest('.toggle')) this.toggle(row);
    else this.select(row.id);
  }

  select(id, { reveal = false, scroll = true } = {}) {
    this.selected = id;
    const row = this.rowsById.get(id);
    for (const node of this.rendered.values()) node.setAttribute('aria-selected', String(node.dataset.rowId === id));
    this.panel.hidden = !row;
    if (row) {
      this.grid.setAttribute('aria-activedescendant', `${this.kind}-${id}`);
      this.panel.replaceChildren(...this.details(row));
      if (scroll) this.panel.scrollTop = 0;
    } else this.grid.removeAttribute('aria-activedescendant');
    if (row && reveal) this.unfoldTo(row);
    if (row && scroll) this.scrollTo(this.visible.indexOf(row));
    this.renderWindow();
    this.writeHash();
  }

  unfoldTo(row) {
    const up = new Set();
    for (let parent = row.above; parent; parent = parent.above) up.add(parent.id);
    const folded = this.collapsed.size;
    for (const id of up) this.collapsed.delete(id);
    if (this.collapsed.size !== folded) this.refold();
  }

  scrollTo(index) {
    if (index < 0) return;
    const top = index * ROW_PX;
    const height = this.grid.clientHeight - 2 * ROW_PX;
    if (top < this.grid.scrollTop) this.grid.scrollTop = top;
    else if (top > this.grid.scrollTop + height) this.grid.scrollTop = top - height;
  }

  // Browsers limit how often the address may change; a held arrow key would exceed it.
  writeHash() {
    clearTimeout(this.hashTimer);
    if (!this.active) return;
    this.chosen();
    const hash = this.link(this.selected);
    this.hashTimer = setTimeout(() => { if (this.active && location.hash !== hash) history.replaceState(null, '', hash); }, 80);
  }

  get index() {
    return this.visible.findIndex((row) => row.id === this.selected);
  }

  move(by) {
    if (this.visible.length === 0) return;
    const from = this.index < 0 && by > 0 ? -1 : this.index;
    const to = Math.min(this.visible.length - 1, Math.max(0, from + by));
    this.select(this.visible[to].id);
  }

  open() {
    const row = this.visible[this.index];
    if (!row?.kids) return;
    if (this.collapsed.has(row.id)) this.toggle(row);
    else this.move(1);
  }

  close() {
    const row = this.visible[this.index];
    if (row?.kids && !this.collapsed.has(row.id)) this.toggle(row);
    else if (row?.above) this.select(row.above.id);
  }

  enter() {
    if (this.index < 0) this.move(1);
    else this.panel.focus();
  }
}

// Returns every row exactly once, whatever its parent is: a loop is entered at its earliest row.
export function depthFirst(rowsById) {
  const byStart = [...rowsById.values()].sort((a, b) => (a.start < b.start ? -1 : Number(a.start > b.start)));
  const children = new Map();
  for (const row of byStart) {
    const siblings = children.get(row.parentId);
    if (siblings) siblings.push(row);
    else children.set(row.parentId, [row]);
  }
  const rows = [];
  const seen = new Set();
  const visit = (root, note) => {
    root.note = note;
    const stack = [[root, null]];
    while (stack.length > 0) {
      const [row, above] = stack.pop();
      if (seen.has(row)) continue;
      seen.add(row);
      rows.push(row);
      row.above = above;
      row.depth = above ? above.depth + 1 : 0;
      if (above) above.kids += 1;
      for (const child of (children.get(row.id) ?? []).reverse()) stack.push([child, row]);
    }
  };
  for (const row of byStart) if (!rowsById.has(row.parentId)) visit(row, row.parentId ? 'parent not received' : null);
  for (const row of byStart) if (!seen.has(row)) visit(row, 'parents form a loop');
  // The caller of the whole request is often outside and never reports.
  if (rows.length > 0) rows[0].expected = rows[0].note === 'parent not received';
  return rows;
}

function unfolded(rows, collapsed) {
  const visible = [];
  for (let i = 0; i < rows.length;) {
    const row = rows[i];
    visible.push(row);
    i += 1;
    if (!collapsed.has(row.id)) continue;
    row.hidden = 0;
    row.hiddenErrors = 0;
    for (; i < rows.length && rows[i].depth > row.depth; i += 1) {
      row.hidden += 1;
      row.hiddenErrors += Number(rows[i].error);
    }
  }
  return visible;
}
