import { byId, bytes, chip, copyable, duration, el, plain, plural, timeOfDay, xrayId } from './format.js';

const POLL_MS = 2000;

export class TraceList {
  constructor() {
    this.root = byId('list');
    this.table = byId('traces');
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
    if (this.paused) this.say('paused', 'Paused');
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
      if (!this.paused) this.say('on', 'Live');
    } catch (error) {
      this.root.dataset.state = 'error';
      this.say('failed', `Poll failed (${error.message}), trying again`);
    }
    this.polling = false;
    clearTimeout(this.timer);
    if (this.shown && !this.paused) this.timer = setTimeout(() => this.restart(), POLL_MS);
  }

  // Screen readers announce every write to a live region, so write changes only.
  say(state, text) {
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
      fact('Traces', `${status.traces} / ${status.traces_max}`),
      fact('Spans and segments', status.spans.toLocaleString('en')),
      fact('Memory', `${bytes(status.bytes)} / ${bytes(status.bytes_max)}`),
      fact('Evicted', status.evicted_traces),
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
    const name = trace.root_name ?? 'root not received';
    const text = [name, trace.root_path ?? '', ...trace.services, trace.trace_id, xrayId(trace.trace_id)].join('\n').toLowerCase();
    return words.every((word) => text.includes(word));
  };
}

// Moves only what is out of place, so that focus and hover survive a poll.
function place(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  nodes.forEach((node, i) => {
    if (parent.children[i] !== node) parent.insertBefore(node, parent.children[i] ?? null);
  });
}

function traceRow(trace) {
  const name = trace.root_name ?? 'root not received';
  const link = el('a', { href: `#${trace.trace_id}`, class: trace.root_name === null ? 'missing' : null }, plain(name));
  const path = trace.root_path ? el('span', { class: 'path' }, plain(trace.root_path)) : null;
  return el('tr', { 'data-testid': 'trace-row', 'data-trace-id': trace.trace_id },
    el('td', { class: 'name', title: `${plain(name)}\n${trace.trace_id}` }, link, path),
    el('td', { class: 'services' }, ...trace.services.slice(0, 12).map(chip)),
    el('td', { class: 'start', title: trace.start }, timeOfDay(trace.start)),
    el('td', { class: 'took' }, el('span', { class: 'share' }), el('span', {}, duration(trace.duration_ms))),
    el('td', { class: 'number spans' }, trace.span_count.toLocaleString('en')),
    el('td', { class: 'number errors' }, trace.errors > 0 ? el('strong', {}, trace.errors.toLocaleString('en')) : '–'),
    el('td', { class: 'sources' }, badge('OTLP', trace.sources.otlp), badge('X-Ray', trace.sources.xray)));
}

function badge(label, count) {
  return count > 0 ? el('span', { class: 'badge', title: `${plural(count, 'span')} over ${label}` }, label) : null;
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
    el('p', {}, 'Point a service at it with its environment:'),
    ...lines.map((line) => el('p', { class: 'shell' }, copyable(line))),
    el('p', {}, 'Then open the Cruddur page and post a crud. Its trace shows up here within seconds.'),
  ];
}
