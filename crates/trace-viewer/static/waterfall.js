import {
  byId, chip, copyable, duration, el, hue, nanos, nanosOfRfc3339, niceStep, offset, plain, plural, timeOfDay, xrayId,
} from './format.js';

const ROW_PX = 26;
const OVERSCAN = 20;
const MAX_INDENT = 16;
const RETRY_MS = 2000;
// X-Ray segments and batched spans come seconds after the first ones: look again while the trace is young.
const YOUNG_MS = 30_000;

export class Waterfall {
  constructor() {
    this.root = byId('trace');
    this.grid = byId('grid');
    this.body = byId('rows');
    this.hide();
    byId('refresh').addEventListener('click', () => this.load());
    byId('collapse-all').addEventListener('click', () => this.fold(this.rows.filter((row) => row.kids > 0)));
    byId('expand-all').addEventListener('click', () => this.fold([]));
    this.grid.addEventListener('scroll', () => requestAnimationFrame(() => this.renderWindow()));
    this.body.addEventListener('click', (event) => this.click(event));
    new ResizeObserver(() => this.renderWindow(true)).observe(this.grid);
  }

  show(traceId, spanId) {
    if (traceId === this.traceId) {
      this.select(spanId, { reveal: true });
      return;
    }
    this.hide();
    this.traceId = traceId;
    this.selected = spanId;
    this.state('loading', 'Loading the trace');
    this.load();
  }

  hide() {
    clearTimeout(this.timer);
    clearTimeout(this.hashTimer);
    this.traceId = null;
    this.selected = null;
    this.text = null;
    this.rows = [];
    this.visible = [];
    this.collapsed = new Set();
    this.rendered = new Map();
  }

  state(name, notice = '') {
    this.root.dataset.state = name;
    byId('trace-notice').textContent = notice;
    byId('trace-notice').hidden = notice === '';
    for (const part of ['trace-head', 'grid']) byId(part).hidden = name !== 'ready';
    if (name !== 'ready') byId('details').hidden = true;
  }

  async load() {
    clearTimeout(this.timer);
    const { traceId } = this;
    try {
      const response = await fetch(`api/traces/${traceId}`);
      const text = response.ok ? await response.text() : '';
      if (traceId !== this.traceId) return;
      if (response.ok) this.accept(text);
      else if (response.status === 404) this.missing();
      else throw new Error(`HTTP ${response.status}`);
    } catch (error) {
      if (traceId !== this.traceId) return;
      if (!this.text) this.state('error', `The trace could not be loaded (${error.message}), trying again`);
      this.later();
    }
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (document.hidden ? this.later() : this.load()), RETRY_MS);
  }

  missing() {
    // What is on the screen stays useful after the server has evicted it.
    if (this.text) return;
    this.state('error', `Trace ${this.traceId} is not here: not received yet, or evicted to make room. Looking again every two seconds.`);
    this.later();
  }

  accept(text) {
    if (text !== this.text) {
      const first = this.text === null;
      this.text = text;
      this.trace = JSON.parse(text);
      // A subsegment that came without its segment does not say whose it is.
      for (const span of this.trace.spans) span.service ??= 'unknown service';
      this.render(first);
    }
    if (Date.now() - Date.parse(this.trace.start) < YOUNG_MS) this.later();
  }

  render(first) {
    const { trace } = this;
    const spans = mergeTwins(trace.spans);
    this.rows = depthFirst(spans);
    this.spans = spans;
    this.origin = nanos(trace.start_unix_nano);
    this.begin = this.rows.reduce((least, row) => (row.start < least ? row.start : least), this.origin);
    const end = this.rows.reduce((most, row) => (row.end > most ? row.end : most), this.begin + 1000n);
    this.total = Number(end - this.begin);
    document.title = `${plain(trace.root_name ?? 'root not received', 80)} · Cruddur traces`;
    this.state('ready');
    byId('trace-head').replaceChildren(...traceHead(trace));
    if (first) this.grid.scrollTop = 0;
    this.refold();
    this.select(this.selected, { reveal: first, scroll: first });
    if (first) this.grid.focus({ preventScroll: true });
  }

  refold() {
    this.visible = unfolded(this.rows, this.collapsed);
    this.body.style.height = `${this.visible.length * ROW_PX}px`;
    this.grid.setAttribute('aria-rowcount', String(this.visible.length + 1));
    this.renderWindow(true);
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
    let top = this.spans.get(this.selected);
    for (let above = top?.above; above; above = above.above) if (this.collapsed.has(above.id)) top = above;
    if (top && top.id !== this.selected) this.select(top.id);
  }

  renderWindow(fresh = false) {
    if (this.root.dataset.state !== 'ready' || this.grid.clientHeight === 0) return;
    const first = Math.max(0, Math.floor(this.grid.scrollTop / ROW_PX) - OVERSCAN);
    const last = Math.min(this.visible.length, Math.ceil((this.grid.scrollTop + this.grid.clientHeight) / ROW_PX) + OVERSCAN);
    if (fresh) {
      this.rendered.clear();
      this.renderAxis();
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

  renderAxis() {
    const axis = byId('axis');
    const step = niceStep(this.total, Math.ceil(axis.clientWidth / 70));
    const share = (step / this.total) * 100;
    this.grid.style.setProperty('--tick', `${share}%`);
    // One unit for the whole axis.
    const [scale, unit] = this.total >= 1e9 ? [1000, 's'] : this.total >= 1e6 ? [1, 'ms'] : [0.001, 'µs'];
    const labels = [];
    for (let at = 0; at < 100 && axis.clientWidth * (1 - at / 100) > 50; at += share) {
      const ms = ((at / 100) * this.total + Number(this.begin - this.origin)) / 1e6;
      labels.push(el('span', { class: 'tick', '--at': `${at}%` }, `${Number((ms / scale).toPrecision(6))} ${unit}`));
    }
    axis.replaceChildren(...labels);
  }

  percent(nanoseconds) {
    return (Number(nanoseconds - this.begin) / this.total) * 100;
  }

  rowNode(row, index) {
    const open = row.kids ? String(!this.collapsed.has(row.id)) : null;
    return el('div', {
      role: 'row', class: row.error ? 'row span failed' : 'row span', id: `span-${row.id}`,
      'data-testid': 'span-row', 'data-span-id': row.id, 'aria-rowindex': index + 2, 'aria-level': row.depth + 1,
      'aria-expanded': open, 'aria-selected': String(row.id === this.selected),
      '--hue': hue(row.main.service), '--top': `${index * ROW_PX}px`,
    }, this.nameCell(row, open), this.barCell(row), el('div', { role: 'gridcell', class: 'number' }, duration(row.main.duration_ms)));
  }

  nameCell(row, open) {
    const toggle = el('span', { class: open ? 'toggle' : 'toggle leaf', 'data-open': open, 'aria-hidden': 'true' });
    const hidden = this.collapsed.has(row.id) ? el('span', { class: row.hiddenErrors ? 'hidden-count error' : 'hidden-count' }, `+${row.hidden}`) : null;
    return el('div', { role: 'gridcell', class: 'name', title: title(row) },
      el('span', { class: 'indent', '--depth': Math.min(row.depth, MAX_INDENT) }), toggle, hidden,
      el('span', { class: 'span-name', 'data-testid': 'span-name' }, plain(row.main.name)),
      row.error ? el('span', { class: 'flag' }, 'error') : null,
      row.note && !row.expected ? el('span', { class: 'note' }, row.note) : null,
      chip(row.main.service),
      el('span', { class: 'badges' }, has(row, 'otlp') ? mark('O', 'TLP') : null, has(row, 'xray') ? mark('X', '-Ray') : null));
  }

  barCell(row) {
    const left = this.percent(row.start);
    const width = (row.end === null ? 100 : this.percent(row.end)) - left;
    const bar = el('span', { class: row.end === null ? 'bar unfinished' : 'bar', '--left': `${left}%`, '--width': `${Math.max(0, width)}%` });
    const marks = (row.main.events ?? []).slice(0, 20).map((event) => {
      const time = nanosOfRfc3339(event.time);
      return time === null ? null : el('span', { class: 'event', title: plain(event.name), '--left': `${this.percent(time)}%` });
    });
    return el('div', { role: 'gridcell', class: 'lane', title: `${offset(row.start - this.origin)}, ${duration(row.main.duration_ms)}` },
      el('span', { class: 'track' }, bar, ...marks.filter(Boolean)));
  }

  click(event) {
    const row = this.spans.get(event.target.closest('[data-span-id]')?.dataset.spanId);
    if (!row) return;
    if (row.kids && event.target.closest('.toggle')) this.toggle(row);
    else this.select(row.id);
  }

  select(id, { reveal = false, scroll = true } = {}) {
    this.selected = id;
    const row = this.spans?.get(id);
    for (const node of this.rendered.values()) node.setAttribute('aria-selected', String(node.dataset.spanId === id));
    byId('details').hidden = !row;
    if (row) {
      this.grid.setAttribute('aria-activedescendant', `span-${id}`);
      byId('details').replaceChildren(...this.details(row));
      if (scroll) byId('details').scrollTop = 0;
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
    const room = this.grid.clientHeight - 2 * ROW_PX;
    if (top < this.grid.scrollTop) this.grid.scrollTop = top;
    else if (top > this.grid.scrollTop + room) this.grid.scrollTop = top - room;
  }

  // Browsers limit how often the address may change; a held arrow key would exceed it.
  writeHash() {
    clearTimeout(this.hashTimer);
    const hash = this.selected ? `#${this.traceId}/${this.selected}` : `#${this.traceId}`;
    this.hashTimer = setTimeout(() => { if (location.hash !== hash) history.replaceState(null, '', hash); }, 80);
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
    else byId('details').focus();
  }

  details(row) {
    const parent = this.spans.get(row.parentId);
    const close = el('button', { type: 'button', 'aria-label': 'Close details', click: () => this.select(null) }, 'Close');
    const up = parent ? el('a', { href: `#${this.traceId}/${parent.id}` }, plain(parent.main.name, 60)) : row.note;
    const shown = ['otlp', 'xray'].map((source) => row.records.find((span) => span.source === source)).filter(Boolean);
    const rest = row.records.length - shown.length;
    return [
      el('header', {},
        el('h2', {}, plain(row.main.name)), chip(row.main.service),
        el('span', { class: 'ids' }, 'Span ', copyable(row.id)),
        row.parentId ? el('span', { class: 'ids' }, 'Parent ', el('code', {}, row.parentId), up ? ' ' : null, up) : el('span', { class: 'ids' }, 'No parent'),
        close),
      el('div', { class: shown.length > 1 ? 'records' : 'records single' }, ...shown.map((span) => this.record(span))),
      rest > 0 ? el('p', { class: 'notice' }, `${plural(rest, 'more record')} received with this span id`) : null,
    ].filter(Boolean);
  }

  record(span) {
    const start = nanos(span.start_unix_nano);
    const { code = 'unset', message = null } = span.status ?? {};
    const facts = [
      ['Name', plain(span.name, 2000)], ['Service', plain(span.service)], ['Kind', span.kind],
      ['Start', `${timeOfDay(span.start)}  ${offset(start - this.origin)}`, span.start],
      ['End', span.end ? `${timeOfDay(span.end)}  ${offset(nanos(span.end_unix_nano) - this.origin)}` : 'in progress', span.end],
      ['Duration', duration(span.duration_ms)],
      ['Status', el('span', { class: code === 'error' ? 'error' : null }, message ? `${code}: ${message}` : code)],
    ];
    const label = span.source === 'xray' ? `X-Ray ${span.kind === 'segment' ? 'segment' : 'subsegment'}` : 'OTLP span';
    const events = span.events ?? [];
    return el('section', { class: 'record' },
      el('h3', {}, label),
      el('dl', {}, ...facts.flatMap(([term, value, full]) => [el('dt', {}, term), el('dd', { title: full }, value)])),
      el('div', {}, el('h4', {}, 'Attributes'), attributes(span.attributes),
        ...(events.length ? [el('h4', {}, 'Events'), ...events.map((event) => this.event(event, start))] : [])));
  }

  event(event, start) {
    const time = nanosOfRfc3339(event.time);
    return el('div', { class: 'event-item' },
      el('p', { title: event.time }, el('b', { class: event.name === 'exception' ? 'error' : null }, plain(event.name)), ' ',
        time === null ? 'at an unknown time' : `${offset(time - start)} after the span began`),
      attributes(event.attributes));
  }
}

function mergeTwins(spans) {
  const merged = new Map();
  for (const span of spans) {
    const known = merged.get(span.span_id);
    if (known) known.records.push(span);
    else merged.set(span.span_id, { id: span.span_id, records: [span], kids: 0, above: null });
  }
  const rank = (span) => (span.source === 'otlp' ? 0 : 2) + (span.end_unix_nano ? 0 : 1);
  for (const row of merged.values()) {
    row.records.sort((a, b) => rank(a) - rank(b));
    [row.main] = row.records;
    row.parentId = row.records.find((span) => span.parent_span_id)?.parent_span_id ?? null;
    row.start = nanos(row.main.start_unix_nano);
    row.end = row.main.end_unix_nano ? nanos(row.main.end_unix_nano) : null;
    // OTLP's word where it told of the span: X-Ray's `error` is a 4xx, which may be the caller's alone.
    row.error = row.main.status?.code === 'error';
  }
  return merged;
}

// Every span comes out exactly once, whatever its parent says: a loop is entered at its earliest span.
function depthFirst(merged) {
  const byStart = [...merged.values()].sort((a, b) => (a.start < b.start ? -1 : Number(a.start > b.start)));
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
  for (const row of byStart) if (!merged.has(row.parentId)) visit(row, row.parentId ? 'parent not received' : null);
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

const has = (row, source) => row.records.some((span) => span.source === source);

// A narrow window shows the letter alone.
const mark = (letter, rest) => el('abbr', { title: `Received over ${letter}${rest}` }, letter, el('span', { class: 'rest' }, rest));

function title(row) {
  const note = row.expected ? 'parent not received: the caller is outside this trace' : row.note;
  return [plain(row.main.name), plain(row.main.service), note].filter(Boolean).join('\n');
}

function traceHead(trace) {
  const sources = [['OTLP', trace.sources.otlp], ['X-Ray', trace.sources.xray]].filter(([, count]) => count > 0);
  return [
    el('h1', { class: trace.root_name === null ? 'missing' : null }, plain(trace.root_name ?? 'root not received')),
    el('div', { class: 'facts' },
      el('span', { title: trace.start }, 'Start ', el('b', {}, timeOfDay(trace.start))),
      el('span', {}, 'Duration ', el('b', {}, duration(trace.duration_ms))),
      el('b', {}, plural(trace.span_count, 'span')),
      trace.errors > 0 ? el('b', { class: 'error' }, plural(trace.errors, 'error')) : null,
      el('span', {}, sources.map(([label, count]) => `${count.toLocaleString('en')} over ${label}`).join(', ')),
      el('span', { class: 'services' }, ...trace.services.slice(0, 20).map(chip))),
    el('div', { class: 'facts' },
      el('span', {}, 'W3C ', copyable(trace.trace_id)),
      el('span', {}, 'X-Ray ', copyable(xrayId(trace.trace_id)))),
  ];
}

function attributes(values) {
  const entries = Object.entries(values ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  if (entries.length === 0) return el('p', { class: 'none' }, 'none');
  return el('table', { class: 'attributes' }, el('tbody', {}, ...entries.map(([key, value]) =>
    el('tr', {}, el('th', { scope: 'row' }, key), el('td', {}, el('div', {}, typeof value === 'string' ? value : JSON.stringify(value)))))));
}
