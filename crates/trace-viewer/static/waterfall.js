import {
  attributes, byId, chip, copyable, duration, el, hue, nanos, nanosOfRfc3339, niceStep, offset, parseExact, plain, plural, timeOfDay,
  xrayId,
} from './format.js';
import { has, mergeTwins } from './operations.js';
import { TreeGrid, depthFirst } from './treegrid.js';
import { twin } from './twin.js';

const RETRY_MS = 2000;
// X-Ray segments and batched spans arrive seconds after the first ones: reload while the trace is young.
const YOUNG_MS = 30_000;
const MOST_LINKS = 20;

export class Waterfall extends TreeGrid {
  constructor(changed) {
    super(byId('spans'), 'span');
    this.changed = changed;
    this.root = byId('trace');
    this.hide();
    byId('refresh').addEventListener('click', () => this.load());
  }

  // Loads the trace even if this view is not `active`: the trace's heading is above every view.
  show(traceId, spanId, active) {
    this.active = active;
    if (traceId === this.traceId) {
      if (active) this.select(spanId, { reveal: true });
      return;
    }
    this.hide();
    this.active = active;
    this.traceId = traceId;
    this.selected = active ? spanId : null;
    this.state('loading', 'Loading the trace');
    this.load();
  }

  hide() {
    clearTimeout(this.timer);
    this.clear();
    this.active = false;
    this.traceId = null;
    this.text = null;
  }

  link(id) {
    return id ? `#${this.traceId}/${id}` : `#${this.traceId}`;
  }

  knows(id, overXray) {
    const row = this.rowsById.get(id);
    return Boolean(row) && (!overXray || has(row, 'xray'));
  }

  state(name, notice = '') {
    this.root.dataset.state = name;
    byId('trace-notice').textContent = notice;
    byId('trace-notice').hidden = notice === '';
    for (const part of ['trace-head', 'views']) byId(part).hidden = name !== 'ready';
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
      if (!this.text) this.state('error', `Cannot load the trace: ${error.message}; retrying`);
      this.later();
    }
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (document.hidden ? this.later() : this.load()), RETRY_MS);
  }

  missing() {
    // The content on the screen stays useful after the server has evicted it.
    if (this.text) return;
    this.state('error', `Trace ${this.traceId} is not here: it has not arrived, or was evicted to free memory. Checking every two seconds.`);
    this.later();
  }

  accept(text) {
    if (text !== this.text) {
      const first = this.text === null;
      this.text = text;
      this.trace = parseExact(text);
      // A subsegment that came without its segment does not name its service.
      for (const span of this.trace.spans) span.service ??= 'unknown service';
      this.render(first);
    }
    if (Date.now() - Date.parse(this.trace.start) < YOUNG_MS) this.later();
  }

  render(first) {
    const { trace } = this;
    this.rowsById = mergeTwins(trace.spans);
    this.rows = depthFirst(this.rowsById);
    this.origin = nanos(trace.start_unix_nano);
    this.start = this.rows.reduce((least, row) => (row.start < least ? row.start : least), this.origin);
    const end = this.rows.reduce((most, row) => (row.end > most ? row.end : most), this.start + 1000n);
    this.total = Number(end - this.start);
    document.title = `${plain(trace.root_name ?? 'root not received', 80)} · Cruddur traces`;
    this.state('ready', incomplete(trace));
    byId('trace-head').replaceChildren(...traceHead(trace));
    if (first) this.grid.scrollTop = 0;
    this.refold();
    this.select(this.selected, { reveal: first, scroll: first });
    if (first && this.active) this.grid.focus({ preventScroll: true });
    this.changed();
  }

  renderColumns() {
    const axis = byId('axis');
    const step = niceStep(this.total, Math.ceil(axis.clientWidth / 70));
    const share = (step / this.total) * 100;
    this.grid.style.setProperty('--tick', `${share}%`);
    // One unit for the whole axis.
    const [scale, unit] = this.total >= 1e9 ? [1000, 's'] : this.total >= 1e6 ? [1, 'ms'] : [0.001, 'µs'];
    const labels = [];
    for (let at = 0; at < 100 && axis.clientWidth * (1 - at / 100) > 50; at += share) {
      const ms = ((at / 100) * this.total + Number(this.start - this.origin)) / 1e6;
      labels.push(el('span', { class: 'tick', '--at': `${at}%` }, `${Number((ms / scale).toPrecision(6))} ${unit}`));
    }
    axis.replaceChildren(...labels);
  }

  percent(nanoseconds) {
    return (Number(nanoseconds - this.start) / this.total) * 100;
  }

  cells(row, open) {
    return [this.nameCell(row, open), this.barCell(row), el('div', { role: 'gridcell', class: 'number' }, duration(row.main.duration_ms))];
  }

  nameCell(row, open) {
    return el('div', { role: 'gridcell', class: 'name', title: title(row) }, ...this.branch(row, open),
      el('span', { class: 'span-name', 'data-testid': 'span-name' }, plain(row.main.name)),
      row.error ? el('span', { class: 'flag' }, 'error') : null,
      row.note && !row.expected ? el('span', { class: 'note' }, row.note) : null,
      row.links.length ? el('span', { class: 'note', title: `Linked to ${plural(row.links.length, 'other span')}` }, '↗') : null,
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
    return el('div', { role: 'gridcell', class: 'lane', '--hue': hue(row.main.service), title: `${offset(row.start - this.origin)}, ${duration(row.main.duration_ms)}` },
      el('span', { class: 'track' }, bar, ...marks.filter(Boolean)));
  }

  details(row) {
    const parent = this.rowsById.get(row.parentId);
    const close = el('button', { type: 'button', 'aria-label': 'Close details', click: () => this.select(null) }, 'Close');
    const up = parent ? el('a', { href: this.link(parent.id) }, plain(parent.main.name, 60)) : row.note;
    const shown = ['otlp', 'xray'].map((source) => row.records.find((span) => span.source === source)).filter(Boolean);
    const more = row.records.length - shown.length;
    return [
      el('header', {},
        el('h2', {}, plain(row.main.name)), chip(row.main.service),
        el('span', { class: 'ids' }, 'Span ', copyable(row.main.span_id)),
        row.parentId ? el('span', { class: 'ids' }, 'Parent ', el('code', {}, row.parentId), up ? ' ' : null, up) : el('span', { class: 'ids' }, 'No parent'),
        this.documentLink(shown.find((span) => span.source === 'xray')),
        close),
      this.linked(row),
      ...(shown.length > 1 ? this.both(...shown) : [el('div', { class: 'records single' }, this.record(shown[0]))]),
      more > 0 ? el('p', { class: 'notice' }, `${plural(more, 'more record')} received with this span id`) : null,
    ].filter(Boolean);
  }

  both(otlp, xray) {
    const events = (span) => (span.events ?? []).map((event) => this.event(event, nanos(span.start_unix_nano)));
    const reported = [['OTLP', otlp], ['X-Ray', xray]].filter(([, span]) => (span.events ?? []).length > 0);
    return [
      el('div', { class: 'twins' }, ...twin(otlp, xray, this.origin)),
      reported.length === 0 ? null : el('div', { class: 'records' }, ...reported.map(([label, span]) =>
        el('section', { class: 'record' }, el('h3', {}, `${label} events`), ...events(span)))),
    ];
  }

  linked({ links }) {
    if (links.length === 0) return null;
    const more = links.length - MOST_LINKS;
    return el('ul', { class: 'links', 'data-testid': 'links' },
      ...links.slice(0, MOST_LINKS).map((link) => el('li', {},
        'Linked to ', el('a', { href: `#${link.trace_id}/${link.span_id}` }, ...this.nameOf(link)),
        Object.keys(link.attributes).length ? attributes(link.attributes) : null)),
      more > 0 ? el('li', { class: 'notice' }, plural(more, 'more link')) : null);
  }

  nameOf({ trace_id: traceId, span_id: id }) {
    const row = traceId === this.traceId ? this.rowsById.get(id) : null;
    if (row) return [plain(row.main.name, 60)];
    const where = traceId === this.traceId ? [' of this trace'] : [' of trace ', el('code', {}, traceId)];
    return ['span ', el('code', {}, id), ...where];
  }

  documentLink(span) {
    if (!span?.document) return null;
    const label = span.document === span.span_id ? 'X-Ray document' : 'Part of an X-Ray document';
    return el('span', { class: 'ids' }, el('a', { href: `#${this.traceId}/xray/${span.span_id}`, 'data-testid': 'document-link' }, label), ` ${plural(span.bytes, 'byte')}`);
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
        time === null ? 'at an unknown time' : `${offset(time - start)} after the span's start`),
      attributes(event.attributes));
  }
}

// A narrow window shows only the letter.
const mark = (letter, rest) => el('abbr', { title: `Received over ${letter}${rest}` }, letter, el('span', { class: 'rest' }, rest));

// A trace has a limit, so that one cannot evict all others.
function incomplete({ dropped }) {
  if (dropped === 0) return '';
  const dropping = plural(dropped, 'span or X-Ray document of this trace does', 'spans and X-Ray documents of this trace do');
  return `${dropping} not fit in a quarter of the viewer’s memory, and are missing below. Start the viewer with more memory (--memory) to see the whole trace.`;
}

function title(row) {
  const note = row.expected ? 'parent not received: the caller does not report to this viewer' : row.note;
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
