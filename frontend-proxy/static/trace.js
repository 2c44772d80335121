// Makes the page's spans and sends them to /v1/traces of this origin; the proxy relays them with its own. A span is sent once its trace has a token. The proxy
// sends one with each page and each response whose trace is recorded. Spans contain no text that a user wrote.

const SERVICE = 'cruddur-page';
const TOKEN = 'telemetry.relay.token';
const INTERNAL = 1;
const CLIENT = 3;
const MOST_SPANS = 256;
const BATCH = 64;
const MOST_RESOURCES = 24;
const WAIT_MS = 2000;
const BACK_OFF_MS = 30_000;
// Sampled, with random last 56 bits.
const FLAGS = '03';
const REMOTE_PARENT = 0x301;
const LOCAL_PARENT = 0x101;

// ---- Traces and spans

// Spans read their trace's state when they are sent, because the trace may still take on the server's id.
class Trace {
  constructor(id = newTraceId()) {
    Object.assign(this, { id, token: null, skew: 0, sent: false });
  }

  // Records what a response, or the page, reveals: the token that permits sending, and the server's time.
  learn(token, from, to) {
    const [, time] = token.match(/^(\d+)-[0-9a-f]{32}$/) ?? [];
    if (!time) return;
    this.token = token;
    const [low, high] = [performance.timeOrigin + from, performance.timeOrigin + to];
    // A server time within the exchange shows no difference between the clocks.
    this.skew = time < low - 1 || time > high + 1 ? time - (low + high) / 2 : 0;
  }
}

class Span {
  constructor(trace, name, kind, parentId, start = performance.now()) {
    Object.assign(this, { trace, name, kind, parentId, start, id: hex(8), end: null, flags: LOCAL_PARENT, failed: false });
    this.attributes = {};
    this.events = [];
  }

  fail(type) {
    this.failed = true;
    this.attributes['error.type'] = type;
  }

  finish(end = performance.now()) {
    this.end = Math.max(end, this.start);
    queue(this);
  }

  encoded() {
    const { trace, parentId } = this;
    return {
      traceId: trace.id,
      spanId: this.id,
      ...(parentId && { parentSpanId: parentId, flags: this.flags }),
      name: this.name,
      kind: this.kind,
      startTimeUnixNano: nanoseconds(this.start, trace),
      endTimeUnixNano: nanoseconds(this.end, trace),
      attributes: attributes({ ...this.attributes, [TOKEN]: trace.token }),
      events: this.events.map(([name, time]) => ({ name, timeUnixNano: nanoseconds(time, trace) })),
      ...(this.failed && { status: { code: 2 } }),
    };
  }
}

export const hex = (bytes) => [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

// X-Ray requires a trace id to begin with its start time in seconds.
const newTraceId = () => Math.floor(Date.now() / 1000).toString(16).padStart(8, '0') + hex(12);

// Has more digits than a number can hold.
function nanoseconds(time, { skew }) {
  const ms = performance.timeOrigin + time + skew;
  const whole = Math.floor(ms);
  return `${whole}${String(Math.floor((ms - whole) * 1e6)).padStart(6, '0')}`;
}

function attributes(values) {
  return Object.entries(values).map(([key, value]) => ({ key, value: encodedValue(value) }));
}

function encodedValue(value) {
  if (typeof value === 'number') return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
  return typeof value === 'boolean' ? { boolValue: value } : { stringValue: value };
}

// ---- The page's load

const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? '';
const [, pageTraceId, servedBy, pageFlags] = meta('traceparent').match(/^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/) ?? [];
const pageIsSampled = (parseInt(pageFlags, 16) & 1) === 1;
const pageTrace = new Trace(pageTraceId);
const load = new Span(pageTrace, 'documentLoad', INTERNAL, servedBy, 0);
load.flags = REMOTE_PARENT;

// The trace of this page's load, if it is recorded.
export const loadTraceId = pageIsSampled ? pageTraceId : null;

const DOM_EVENTS = ['domInteractive', 'domContentLoadedEventEnd', 'domComplete', 'loadEventEnd'];
const FETCH_EVENTS = ['domainLookupStart', 'domainLookupEnd', 'connectStart', 'secureConnectionStart', 'connectEnd', 'requestStart', 'responseStart'];

const timed = (entry, names) => names.filter((name) => entry[name] > 0).map((name) => [name, entry[name]]);

function fetched(entry) {
  const version = { 'http/1.0': '1.0', 'http/1.1': '1.1', h2: '2', h3: '3' }[entry.nextHopProtocol];
  return {
    'url.path': new URL(entry.name).pathname,
    ...(entry.responseStatus && { 'http.response.status_code': entry.responseStatus }),
    ...(entry.encodedBodySize && { 'http.response.body.size': entry.encodedBodySize }),
    ...(version && { 'network.protocol.version': version }),
  };
}

function finishLoad() {
  const [navigation] = performance.getEntriesByType('navigation');
  if (!navigation) return;
  const page = new Span(pageTrace, 'documentFetch', INTERNAL, load.id, navigation.fetchStart);
  Object.assign(page.attributes, fetched(navigation));
  page.events = timed(navigation, FETCH_EVENTS);
  page.finish(navigation.responseEnd);
  const resources = performance.getEntriesByType('resource').filter((entry) => isOfThePage(entry, navigation.loadEventEnd));
  for (const entry of resources.slice(0, MOST_RESOURCES)) {
    const resource = new Span(pageTrace, 'resourceFetch', INTERNAL, load.id, entry.startTime);
    Object.assign(resource.attributes, fetched(entry));
    resource.finish(entry.responseEnd);
  }
  Object.assign(load.attributes, { 'url.path': location.pathname, 'browser.navigation.type': navigation.type });
  const paints = performance.getEntriesByType('paint').map(({ name, startTime }) => [name, startTime]);
  load.events = [...timed(navigation, DOM_EVENTS), ...paints].filter(([, time]) => time <= navigation.loadEventEnd);
  load.finish(navigation.loadEventEnd);
}

// Calls have separate spans.
function isOfThePage({ initiatorType, responseEnd, name }, loaded) {
  return !['fetch', 'xmlhttprequest', 'beacon'].includes(initiatorType) && responseEnd <= loaded && name.startsWith(location.origin);
}

// ---- A user's actions, and their calls

// Runs `run` with a traced `fetch`, as one action of the user: in the page's trace while the page loads, else in a separate trace.
export async function interaction(name, run) {
  const isLoading = load.end === null && pageIsSampled;
  const trace = isLoading ? pageTrace : new Trace();
  const span = new Span(trace, name, INTERNAL, isLoading ? load.id : null);
  try {
    return await run((url, options) => call(span, url, options));
  } catch (failure) {
    span.fail(failure?.name ?? 'Error');
    throw failure;
  } finally {
    span.finish();
  }
}

async function call(parent, url, options = {}) {
  const { trace } = parent;
  const method = options.method ?? 'GET';
  const { pathname, hostname, port, protocol, href } = new URL(url, location.href);
  const span = new Span(trace, method, CLIENT, parent.id);
  Object.assign(span.attributes, {
    'http.request.method': method,
    'url.full': href.split(/[?#]/)[0],
    'url.path': pathname,
    'server.address': hostname,
    'server.port': Number(port) || (protocol === 'https:' ? 443 : 80),
  });
  const headers = new Headers(options.headers);
  headers.set('trace-token', '?');
  // If the page's load is not recorded, the server decides anew for each call, and the page follows its decision.
  if (pageIsSampled) headers.set('traceparent', `00-${trace.id}-${span.id}-${FLAGS}`);
  try {
    const response = await fetch(url, { ...options, headers });
    follow(trace, response, span.start);
    span.attributes['http.response.status_code'] = response.status;
    if (response.status >= 400) span.fail(String(response.status));
    return response;
  } catch (failure) {
    span.fail(failure.name);
    throw failure;
  } finally {
    span.finish();
  }
}

// A proxy that does not trust this browser starts its own trace. No span has been sent yet, so this trace takes on that id.
function follow(trace, response, from) {
  const token = response.headers.get('trace-token');
  const [, served] = (response.headers.get('server-timing') ?? '').match(/traceparent;desc="00-([0-9a-f]{32})-/) ?? [];
  if (!token || !served) return;
  if (served !== trace.id) {
    if (trace === pageTrace || trace.sent) return;
    trace.id = served;
  }
  trace.learn(token, from, performance.now());
}

// ---- Sending

let waiting = [];
let dropped = 0;
let timer = null;
let notBefore = 0;

function queue(span) {
  if (waiting.length >= MOST_SPANS) dropped += 1;
  else waiting.push(span);
  schedule(WAIT_MS);
}

function schedule(ms) {
  timer ??= setTimeout(send, Math.max(ms, notBefore - performance.now()));
}

// The spans whose trace has a token. A recent span without one stays, because its trace may still get one.
function nextBatch() {
  const running = (span) => !span.trace.token && performance.now() - span.end < BACK_OFF_MS;
  const batch = waiting.filter(({ trace }) => trace.token).slice(0, BATCH);
  waiting = waiting.filter((span) => !batch.includes(span) && (span.trace.token || running(span)));
  for (const { trace } of batch) trace.sent = true;
  return batch;
}

function bodyOf(batch) {
  const spans = batch.map((span) => span.encoded());
  if (dropped) spans[0].attributes.push(...attributes({ 'cruddur.dropped_spans': dropped }));
  dropped = 0;
  const resource = { attributes: attributes({ 'service.name': SERVICE }) };
  return JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ scope: { name: 'trace.js' }, spans }] }] });
}

async function send() {
  timer = null;
  const batch = nextBatch();
  if (batch.length) {
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: bodyOf(batch), keepalive: true };
    const response = await fetch('/v1/traces', init).catch(() => null);
    if (!response || response.status === 429 || response.status === 503) comeBack(batch, response);
  }
  if (waiting.length) schedule(WAIT_MS);
}

function comeBack(batch, response) {
  const pauseMs = Number(response?.headers.get('retry-after')) * 1000;
  notBefore = performance.now() + (pauseMs || BACK_OFF_MS);
  const space = Math.max(MOST_SPANS - waiting.length, 0);
  dropped += Math.max(batch.length - space, 0);
  waiting.unshift(...batch.slice(0, space));
}

// The page may be discarded without running again.
function sendLast() {
  for (let batch = nextBatch(); batch.length; batch = nextBatch()) {
    navigator.sendBeacon('/v1/traces', new Blob([bodyOf(batch)], { type: 'application/json' }));
  }
}

document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'hidden') sendLast();
});
window.addEventListener('pagehide', sendLast);

if (pageIsSampled) {
  const [navigation] = performance.getEntriesByType('navigation');
  if (navigation) pageTrace.learn(meta('trace-token'), navigation.requestStart, navigation.responseStart);
  // The load ends only after all listeners of its event have run.
  if (document.readyState === 'complete') setTimeout(finishLoad);
  else window.addEventListener('load', () => setTimeout(finishLoad));
}
