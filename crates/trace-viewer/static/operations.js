// The rows of a trace: spans and segments by the operation that they report.
import { nanos } from './format.js';

// One row for each operation: a span and its X-Ray twin are one, but the two sides of a call with one id are two.
export function mergeTwins(spans) {
  const byId = new Map();
  for (const span of spans) {
    const known = byId.get(span.span_id);
    if (known) known.push(span);
    else byId.set(span.span_id, [span]);
  }
  const merged = new Map();
  const add = (id, records) => merged.set(id, { id, records, kids: 0, above: null });
  for (const [id, records] of byId) {
    const [served, called] = sides(records);
    add(id, served);
    if (called) add(`${id}${CALLER}`, called);
  }
  const rank = (span) => (span.source === 'otlp' ? 0 : 2) + (span.end_unix_nano ? 0 : 1);
  for (const row of merged.values()) {
    row.records.sort((a, b) => rank(a) - rank(b));
    [row.main] = row.records;
    row.parentId = row.records.find((span) => span.parent_span_id)?.parent_span_id ?? null;
    row.links = row.records.find((span) => span.links.length > 0)?.links ?? [];
    row.start = nanos(row.main.start_unix_nano);
    row.end = row.main.end_unix_nano ? nanos(row.main.end_unix_nano) : null;
    // OTLP's status if OTLP reported the span: X-Ray's `error` is a 4xx, which may be the caller's error alone.
    row.error = row.main.status?.code === 'error';
  }
  placeCallers(merged);
  return merged;
}

const CALLER = '-caller';
const SERVED = ['server', 'consumer', 'segment'];

// B3 and Envoy give a call's client span and server span the same id.
function sides(records) {
  const isShared = ['otlp', 'xray'].some((source) => records.filter((span) => span.source === source).length > 1);
  const served = records.filter((span) => SERVED.includes(span.kind));
  if (!isShared || served.length === 0 || served.length === records.length) return [records];
  return [served, records.filter((span) => !served.includes(span))];
}

// The server's row is below its caller's. Other children belong to the server, unless only the caller is of their service.
function placeCallers(rows) {
  for (const row of rows.values()) {
    const own = rows.get(`${row.id}${CALLER}`);
    if (own) row.parentId = own.id;
    const [server, caller] = [rows.get(row.parentId), rows.get(`${row.parentId}${CALLER}`)];
    const { service } = row.main;
    if (!own && caller && caller.main.service === service && server.main.service !== service) row.parentId = caller.id;
  }
}

export const has = (row, source) => row.records.some((span) => span.source === source);
