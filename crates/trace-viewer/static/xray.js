// The X-Ray documents of a trace: a tree of segments and subsegments, and the JSON of one as it was sent.
import { attributes, byId, chip, copyButton, copyable, duration, el, parseExact, plain, plural, timeOfDay } from './format.js';
import { findById, parse, tree } from './json.js';
import { TreeGrid, depthFirst } from './treegrid.js';
import { flags } from './twin.js';

const RETRY_MS = 2000;

export class Documents extends TreeGrid {
  constructor(waterfall) {
    super(byId('documents'), 'document');
    this.waterfall = waterfall;
    this.hide();
  }

  // Loads nothing before the user opens it: the documents of a large trace are large too.
  show(traceId, id, active) {
    const known = traceId === this.traceId;
    if (!known) this.hide();
    this.traceId = traceId;
    this.active = active;
    if (!active) return;
    if (known && this.text !== null) this.select(id, { reveal: true });
    else this.selected = id;
    this.refresh();
  }

  hide() {
    clearTimeout(this.timer);
    this.clear();
    this.active = false;
    this.traceId = null;
    this.text = null;
    this.json = null;
    this.setStatus('loading', 'Loading the documents');
  }

  link(id) {
    return `#${this.traceId}/xray${id ? `/${id}` : ''}`;
  }

  setStatus(state, text) {
    this.view.dataset.state = state;
    byId('documents-sum').textContent = text;
    this.grid.hidden = state !== 'ready';
    if (state !== 'ready') this.panel.hidden = true;
  }

  async refresh() {
    clearTimeout(this.timer);
    const { traceId } = this;
    // The waterfall polls for a trace that has not arrived, and notifies this view when it has.
    if (!this.active || this.waterfall.text === null) return;
    try {
      const response = await fetch(`api/traces/${traceId}/xray`);
      const text = response.ok ? await response.text() : '';
      if (traceId !== this.traceId) return;
      if (response.ok) this.accept(text);
      // The content on the screen stays useful after the server has evicted it.
      else if (this.text === null) throw new Error(`HTTP ${response.status}`);
    } catch (error) {
      if (traceId !== this.traceId) return;
      if (this.text === null) this.setStatus('error', `Cannot load the documents: ${error.message}; retrying`);
      this.timer = setTimeout(() => this.refresh(), RETRY_MS);
    }
  }

  accept(text) {
    if (text === this.text) {
      // The sizes come from the waterfall, and may have arrived since.
      this.renderWindow(true);
      return;
    }
    const first = this.text === null;
    this.text = text;
    const { documents } = parseExact(text);
    const unfit = this.unfit(documents);
    if (documents.length === 0) {
      this.setStatus('empty', `This trace has no X-Ray documents.${unfit} A service sends them if AWS_XRAY_DAEMON_ADDRESS is set.`);
      return;
    }
    this.rowsById = rowsOf(documents);
    this.rows = depthFirst(this.rowsById);
    this.json = null;
    this.setStatus('ready', summary(documents) + unfit);
    this.refold();
    if (!this.rowsById.has(this.selected)) this.selected = null;
    this.select(this.selected, { reveal: first, scroll: first });
    if (first) this.grid.focus({ preventScroll: true });
  }

  // If a trace is full, its spans are kept but not their documents.
  unfit(documents) {
    const ids = new Set(this.waterfall.trace.spans.map((span) => span.document));
    for (const id of [undefined, ...documents.map((sent) => sent.id)]) ids.delete(id);
    return ids.size > 0 ? ` ${ids.size.toLocaleString('en')} did not fit: the trace is full.` : '';
  }

  cells(row, open) {
    const { name, in_progress: running } = row.own;
    const otlpName = this.waterfall.rowsById.get(row.id)?.main.name;
    return [
      el('div', { role: 'gridcell', class: 'name', title: plain(name) }, ...this.branch(row, open),
        el('span', { class: 'span-name', 'data-testid': 'document-name' }, plain(name)),
        otlpName && otlpName !== name ? el('span', { class: 'span-name also', title: 'The name in OTLP' }, plain(otlpName)) : null,
        ...flags(row.own).map((flag) => el('span', { class: 'flag' }, flag)),
        running ? el('span', { class: 'note' }, 'in progress') : null,
        row.note && !row.expected ? el('span', { class: 'note' }, row.note) : null,
        el('span', { class: 'badges' }, el('span', { class: `badge ${row.sort}` }, SORTS[row.sort]))),
      this.sizeCell(row),
      el('div', { role: 'gridcell', class: 'number' }, duration(took(row.own))),
    ];
  }

  sizeCell(row) {
    const { bytes, limit } = row.document;
    const size = this.size(row);
    const share = size === null ? null : row.sort === 'nested' ? `${percent(size / bytes)} of its document` : percent(bytes / limit);
    return el('div', { role: 'gridcell', class: 'size', title: share ? `${plural(size, 'byte')}, ${share}` : null },
      row.sort === 'nested' ? null : el('span', { class: bytes > limit ? 'gauge over' : 'gauge' }, el('span', { '--share': `${Math.min(100, (bytes / limit) * 100)}%` })),
      el('span', { class: 'count' }, size === null ? '–' : `${size.toLocaleString('en')} B`));
  }

  // The trace has the size of each span's part of a document.
  size(row) {
    if (row.sort !== 'nested') return row.document.bytes;
    const record = this.waterfall.rowsById.get(row.id)?.records.find((span) => span.document === row.document.id);
    return record?.bytes ?? null;
  }

  details(row) {
    const { own, document: sent } = row;
    const parent = this.rowsById.get(row.parentId);
    const close = el('button', { type: 'button', 'aria-label': 'Close details', click: () => this.select(null) }, 'Close');
    const named = (id, above) => [el('code', {}, id), ' ', above ? el('a', { href: this.link(above.id) }, plain(above.own.name, 60)) : ''];
    return [
      el('header', {},
        el('h2', {}, plain(own.name)), el('span', { class: `badge ${row.sort}` }, SORTS[row.sort]),
        el('span', { class: 'ids' }, 'Id ', copyable(row.id)),
        row.parentId ? el('span', { class: 'ids' }, 'Parent ', ...named(row.parentId, parent)) : el('span', { class: 'ids' }, 'No parent'),
        this.waterfall.knows(row.id, false) ? el('a', { href: this.waterfall.link(row.id), 'data-testid': 'span-link' }, 'In the waterfall') : null,
        close),
      el('div', { class: 'records' },
        el('section', { class: 'record' },
          el('h3', {}, 'Fields that X-Ray reads'),
          el('dl', {}, ...this.facts(row).filter(([, value]) => value !== null).flatMap(([term, value]) => [el('dt', {}, term), el('dd', {}, value)])),
          el('h4', {}, 'Annotations, indexed'), attributes(own.annotations),
          ...Object.entries(own.metadata ?? {}).flatMap(([space, values]) => [
            el('h4', {}, `Metadata, not indexed: ${plain(space)}`),
            attributes(typeof values === 'object' ? values : { [space]: values }),
          ])),
        el('section', { class: 'record' },
          el('h3', {}, row.sort === 'nested' ? `Its part of the document ${plain(sent.name, 60)}` : 'The document as sent'),
          this.jsonOf(row))),
    ];
  }

  facts({ own, document: sent, sort, id }) {
    const outcome = flags(own);
    const size = this.size(this.rowsById.get(id));
    return [
      ['Service', sort === 'segment' ? chip(own.name) : null],
      ['Namespace', own.namespace ? plain(own.namespace) : null],
      ['Start', clock(own.start_time)],
      ['End', own.in_progress ? 'in progress' : clock(own.end_time)],
      ['Duration', duration(took(own))],
      ['Flags', outcome.length ? el('span', { class: 'error' }, outcome.join(', ')) : 'none'],
      ['User', typeof own.user === 'string' ? plain(own.user) : null],
      ['Size', sort === 'nested'
        ? `${size === null ? 'unknown' : plural(size, 'byte')}, of ${plural(sent.bytes, 'byte')} of its document`
        : `${plural(sent.bytes, 'byte')} of ${sent.limit.toLocaleString('en')} (${percent(sent.bytes / sent.limit)})`],
      ['Nested', sort === 'nested' ? null : plural(sent.subsegments, 'subsegment')],
      ['Received', timeOfDay(sent.received)],
    ];
  }

  // A user who moves fast through the rows waits only for the last one.
  latest() {
    this.loading?.abort();
    this.loading = new AbortController();
    return this.loading.signal;
  }

  // The text of one document at a time is fetched, read and kept.
  jsonOf(row) {
    const url = `api/traces/${this.traceId}/xray/${row.document.id}`;
    const box = el('div', { class: 'json', 'data-testid': 'document-json' }, 'Loading');
    const show = (text) => {
      const whole = parse(text);
      const node = row.sort === 'nested' ? findById(whole, row.id) ?? whole : whole;
      const own = node === whole ? text : text.slice(node.start, node.end);
      const shown = el('div', {}, tree({ ...node, key: null }, 4));
      box.replaceChildren(el('p', { class: 'json-tools' }, copyButton('Copy the JSON as sent', shown, () => own), ' ', el('a', { href: url }, row.sort === 'nested' ? 'The whole document' : 'The text only')), shown);
    };
    if (this.json?.url === url) show(this.json.text);
    else fetch(url, { signal: this.latest() })
      .then((response) => (response.ok ? response.text() : Promise.reject(new Error(`HTTP ${response.status}`))))
      .then((text) => { this.json = { url, text }; show(text); })
      .catch((error) => { box.textContent = `Cannot load the document: ${error.message}.`; });
    return box;
  }
}

const SORTS = { segment: 'segment', alone: 'subsegment, separate', nested: 'nested' };

function rowsOf(documents) {
  const rows = new Map();
  const add = (own, id, parentId, sent, sort) => {
    if (!rows.has(id)) rows.set(id, { id, parentId, own, document: sent, sort, start: own.start_time, error: flags(own).length > 0, kids: 0, above: null });
  };
  for (const sent of documents) add(sent.document, sent.id, sent.parent_id, sent, sent.type === 'segment' ? 'segment' : 'alone');
  const nest = (own, id, sent) => {
    for (const nested of own.subsegments ?? []) {
      const nestedId = nested.id.toLowerCase();
      add(nested, nestedId, id, sent, 'nested');
      nest(nested, nestedId, sent);
    }
  };
  for (const sent of documents) nest(sent.document, sent.id, sent);
  return rows;
}

const took = ({ start_time: start, end_time: end }) => (typeof end === 'number' ? (end - start) * 1000 : null);
const percent = (share) => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;

function clock(seconds) {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? String(seconds) : timeOfDay(date.toISOString());
}

function summary(documents) {
  const alone = documents.filter((sent) => sent.type !== 'segment').length;
  const nested = documents.reduce((sum, sent) => sum + sent.subsegments, 0);
  const total = documents.reduce((sum, sent) => sum + sent.bytes, 0);
  const largest = Math.max(...documents.map((sent) => sent.bytes));
  return `${plural(documents.length, 'document')} of ${plural(total, 'byte')}: ${plural(documents.length - alone, 'segment')}, `
    + `${plural(alone, 'subsegment')} sent separately, ${nested.toLocaleString('en')} nested. `
    + `The largest has ${plural(largest, 'byte')} of the ${documents[0].limit.toLocaleString('en')} allowed.`;
}
