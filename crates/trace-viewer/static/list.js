import { byId, bytes, chip, copyable, duration, el, plain, plural, timeOfDay, xrayId } from './format.js';

const POLL_MS = 2000;

export class TraceList {
  constructor() {
    this.root = byId('list');
    this.table = byId('traces');
    this.table.tHead.rows[0].append(...headings());
    this.rows = new Map();
    this.traces = null;
    this.paused = false;
    this.shown = false;
    byId('filter').addEventListener('input', () => this.render());
    byId('pause').addEventListener('click', () => this.togglePause());
    document.addEventListener('visibilitychange', () => this.restart());
  }

  show() {
    this.shown = true;
    this.restart();
  }

  hide() {
    this.shown = false;
    clearTimeout(this.timer);
  }

  togglePause() {
    this.paused = !this.paused;
    byId('pause').textContent = this.paused ? 'Resume' : 'Pause';
    byId('pause').setAttribute('aria-pressed', String(this.paused));
    if (this.paused) this.setStatus('paused', 'Paused');
    this.restart();
  }

  restart() {
    clearTimeout(this.timer);
    const wanted = this.shown && !document.hidden && (!this.paused || !this.traces);
    if (wanted && !this.polling) this.poll();
  }

  async poll() {
    this.polling = true;
    try {
      const [traces, status] = await Promise.all([getJson('api/traces'), getJson('api/status')]);
      this.traces = traces;
      this.render();
      this.renderStatus(status);
      this.root.dataset.state = traces.length ? 'ready' : 'empty';
      if (!this.paused) this.setStatus('on', 'Live');
    } catch (error) {
      this.root.dataset.state = 'error';
      this.setStatus('failed', `Cannot update: ${error.message}; retrying`);
    }
    this.polling = false;
    clearTimeout(this.timer);
    if (this.shown && !this.paused) this.timer = setTimeout(() => this.restart(), POLL_MS);
  }

  // Screen readers announce every write to a live region, so this writes changes only.
  setStatus(state, text) {
    const live = byId('live');
    live.dataset.state = state;
    if (live.textContent !== text) live.textContent = text;
  }

  render() {
    const all = this.traces ?? [];
    const shown = all.filter(matcher(byId('filter').value));
    const slowest = Math.max(...shown.map((trace) => trace.duration_ms), 0.001);
    this.rows = new Map(shown.map((trace) => [trace.trace_id, this.row(trace)]));
    place(this.table.tBodies[0], [...this.rows.values()].map(({ node }) => node));
    for (const { node, trace } of this.rows.values()) {
      node.style.setProperty('--share', `${(trace.duration_ms / slowest) * 100}%`);
    }
    this.table.hidden = shown.length === 0;
    byId('no-match').hidden = all.length === 0 || shown.length > 0;
    byId('empty').hidden = !this.traces || all.length > 0;
  }

  row(trace) {
    const signature = JSON.stringify(trace);
    const known = this.rows.get(trace.trace_id);
    return known?.signature === signature ? known : { signature, trace, node: traceRow(trace) };
  }

  renderStatus(status) {
    byId('footer').replaceChildren(
      fact('Traces', status.traces.toLocaleString('en')),
      fact('Spans and segments', status.spans.toLocaleString('en')),
      fact('Memory', `${bytes(status.bytes)} / ${bytes(status.bytes_max)}`),
      fact('Evicted', evictions(status)),
      fact('Rejected', status.rejected),
    );
    const addresses = `${status.otlp} ${status.xray}`;
    if (this.addresses === addresses) return;
    this.addresses = addresses;
    byId('empty').replaceChildren(...emptyState(status));
  }
}

async function getJson(url) {
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return response.json();
}

function matcher(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  return (trace) => {
    const name = trace.root_name ?? ROOTLESS;
    const text = [name, trace.root_path ?? '', ...trace.services, trace.trace_id, xrayId(trace.trace_id)].join('\n').toLowerCase();
    return words.every((word) => text.includes(word));
  };
}

// Moves only nodes that are out of place, so that focus and hover survive a poll.
function place(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  nodes.forEach((node, i) => {
    if (parent.children[i] !== node) parent.insertBefore(node, parent.children[i] ?? null);
  });
}

function badge(label, count) {
  return count > 0 ? el('span', { class: 'badge', title: `${plural(count, 'span')} over ${label}` }, label) : null;
}

const ROOTLESS = 'root not received';

// The list's columns from left to right. `width` is for the table and `narrow` for a narrow one; `phone` is the cell's area in the two lines of a row on a
// phone, which omits a column without one.
const COLUMNS = [
  {
    name: 'name', heading: 'Trace', phone: '1 / 1 / 2 / 3',
    title: (trace) => `${plain(trace.root_name ?? ROOTLESS)}\n${trace.trace_id}`,
    cell: (trace) => [
      el('a', { href: `#${trace.trace_id}`, class: trace.root_name === null ? 'missing' : null }, plain(trace.root_name ?? ROOTLESS)),
      trace.root_path ? el('span', { class: 'path' }, plain(trace.root_path)) : null,
    ],
  },
  { name: 'services', heading: 'Services', width: '25%', phone: '2 / 2', cell: (trace) => trace.services.slice(0, 12).map(chip) },
  { name: 'start', heading: 'Start', width: '104px', phone: '2 / 1', title: (trace) => trace.start, cell: (trace) => [timeOfDay(trace.start)] },
  {
    name: 'took', heading: 'Duration', width: '17%', narrow: '88px', phone: '1 / 3 / 2 / 5',
    cell: (trace) => [el('span', { class: 'share' }), el('span', {}, duration(trace.duration_ms))],
  },
  {
    name: 'spans', heading: 'Spans', number: true, width: '62px', narrow: '54px',
    title: (trace) => (trace.dropped > 0 ? `${plural(trace.dropped, 'span or document', 'spans and documents')} did not fit` : null),
    cell: (trace) => [trace.span_count.toLocaleString('en') + (trace.dropped > 0 ? '+' : '')],
  },
  {
    name: 'errors', heading: 'Errors', number: true, width: '62px', narrow: '54px', phone: '2 / 3',
    cell: (trace) => [trace.errors > 0 ? el('strong', {}, trace.errors.toLocaleString('en')) : '–'],
  },
  {
    name: 'sources', heading: 'Sources', width: '124px', phone: '2 / 4',
    cell: (trace) => [badge('OTLP', trace.sources.otlp), badge('X-Ray', trace.sources.xray)],
  },
];

const classes = ({ name, number, phone }) => [name, number ? 'number' : '', phone ? '' : 'not-on-phone'].filter(Boolean).join(' ');

function headings() {
  return COLUMNS.map((column) => el('th', {
    scope: 'col', class: classes(column), '--width': column.width, '--narrow': column.narrow ?? column.width,
  }, column.heading));
}

function traceRow(trace) {
  return el('tr', { 'data-testid': 'trace-row', 'data-trace-id': trace.trace_id }, ...COLUMNS.map((column) =>
    el('td', { class: classes(column), title: column.title?.(trace), '--phone': column.phone }, ...column.cell(trace).filter(Boolean))));
}

// Why the evicted traces had been kept until then.
function evictions({ evicted_traces: count, evicted }) {
  const reasons = Object.entries(evicted).filter(([, each]) => each > 0).map(([reason, each]) => `${each.toLocaleString('en')} ${reason}`);
  return count.toLocaleString('en') + (reasons.length ? ` (${reasons.join(', ')})` : '');
}

const fact = (label, value) => el('span', {}, `${label} `, el('b', {}, String(value)));

function emptyState({ otlp, xray }) {
  const lines = [`export OTEL_EXPORTER_OTLP_ENDPOINT=${otlp}`];
  if (xray) lines.push(`export AWS_XRAY_DAEMON_ADDRESS=${xray}`);
  return [
    el('h1', {}, 'No trace has arrived yet'),
    el('p', {}, 'This viewer is listening:'),
    el('dl', {},
      el('dt', {}, 'OTLP over HTTP'), el('dd', {}, el('code', {}, otlp)),
      el('dt', {}, 'X-Ray segments over UDP'), el('dd', {}, xray ? el('code', {}, xray) : 'not listening')),
    el('p', {}, 'To send traces here, set in a service’s environment:'),
    ...lines.map((line) => el('p', { class: 'shell' }, copyable(line))),
    el('p', {}, 'Then open the Cruddur page and post a crud. Its trace appears here within seconds.'),
  ];
}
