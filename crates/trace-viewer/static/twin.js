// The two protocols' reports of one operation, field by field.
import { duration, el, nanos, offset, plain, plural, timeOfDay, toJson } from './format.js';

// Attributes for which X-Ray has a separate field.
const FIELD = {
  'aws.dynamodb.table_names': 'aws.table_name',
  'aws.request_id': 'aws.request_id',
  'aws.sqs.queue.url': 'aws.queue_url',
  'aws.xray.sampling_rule_name': 'aws.xray.sampling_rule_name',
  'client.address': 'http.request.client_ip',
  'cloud.region': 'aws.region',
  'db.query.text': 'sql.sanitized_query',
  'db.system.name': 'sql.database_type',
  'http.request.method': 'http.request.method',
  'http.response.body.size': 'http.response.content_length',
  'http.response.status_code': 'http.response.status',
  'rpc.method': 'aws.operation',
  'url.full': 'http.request.url',
  'user.id': 'user',
  'user_agent.original': 'http.request.user_agent',
};
const URLS = ['http.request.url', 'sql.url'];
const IN_URL = ['db.namespace', 'server.address', 'server.port', 'url.path', 'url.scheme'];
const FLAGS = ['throttle', 'error', 'fault'];
const MARKS = { same: ['=', 'the same'], differs: ['≠', 'differs'], cut: ['≠', 'cut short'], alone: ['', 'in one only'] };
// X-Ray's times are in microseconds.
const ROUNDING = 1000n;

export const flags = (fields) => FLAGS.filter((flag) => fields[flag] === true);

export function twin(otlp, xray, origin) {
  const places = new Places(xray.attributes ?? {});
  const rows = [...common(otlp, xray, origin, places), ...attributes(otlp.attributes ?? {}, places), ...places.rest()];
  const count = (mark) => rows.filter((row) => row.mark === mark).length;
  const differ = count('differs') + count('cut');
  return [
    el('p', { class: 'twin-sum' }, `${plural(rows.length - count('alone'), 'field')} in both, ${differ} differ; ${count('alone')} in one only.`),
    el('table', { class: 'twin', 'data-testid': 'twin' },
      el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'Field'),
        el('th', { scope: 'col' }, 'OTLP', el('small', {}, ' what Honeycomb receives')),
        el('th', { scope: 'col' }, 'X-Ray', el('small', {}, ' what X-Ray receives')))),
      el('tbody', {}, ...rows.map(rowNode))),
  ];
}

function rowNode({ label, otlp, xray, mark }) {
  const [sign, meaning] = MARKS[mark] ?? ['', null];
  return el('tr', { class: mark ?? null, title: meaning },
    el('th', { scope: 'row' }, el('span', { class: 'mark', role: meaning ? 'img' : null, 'aria-label': meaning }, sign), plain(label)),
    cell(otlp === undefined ? [] : [{ value: otlp }]), cell(xray));
}

function cell(places) {
  if (places.length === 0) return el('td', { class: 'none' }, '–');
  return el('td', {}, ...places.map(({ value, path }) => el('div', {}, text(value), path ? el('small', {}, ` ${plain(path)}`) : null)));
}

const text = (value) => plain(typeof value === 'string' ? value : toJson(value), 4000);
const equal = (a, b) => a === b || toJson(a) === toJson(b);

// The name, the times and the outcome: each protocol represents them differently.
function common(otlp, xray, origin, places) {
  const time = (span, side) => (span[side] ? `${timeOfDay(span[side])}  ${offset(nanos(span[`${side}_unix_nano`]) - origin)}` : 'in progress');
  const near = (side) => {
    const [a, b] = [otlp, xray].map((span) => nanos(span[`${side}_unix_nano`]));
    return Boolean(otlp[side]) === Boolean(xray[side]) && a - b <= ROUNDING && b - a <= ROUNDING;
  };
  const row = (label, a, b, same, ...more) => ({
    label, otlp: a, xray: [{ value: b }, ...more.flatMap((place) => places.take(place))], mark: same ? 'same' : 'differs',
  });
  const outcome = flags(xray.attributes ?? {});
  const { code = 'unset', message } = otlp.status ?? {};
  const events = (span) => (span.events ?? []).length;
  const kept = places.take('metadata.otel:events');
  const ends = (span) => span.links.map((link) => `${link.trace_id}/${link.span_id}`).join(', ') || 'none';
  return [
    row('Name', otlp.name, xray.name, otlp.name === xray.name, 'metadata.otel:name'),
    row('Service', otlp.service, xray.service, otlp.service === xray.service),
    { ...row('Kind', otlp.kind, xray.kind, true, 'namespace', 'metadata.otel:kind'), mark: null },
    row('Parent', otlp.parent_span_id ?? 'none', xray.parent_span_id ?? 'none', otlp.parent_span_id === xray.parent_span_id),
    row('Start', time(otlp, 'start'), time(xray, 'start'), near('start')),
    row('End', time(otlp, 'end'), time(xray, 'end'), near('end')),
    row('Duration', duration(otlp.duration_ms), duration(xray.duration_ms), near('start') && near('end')),
    row('Status', message ? `${code}: ${message}` : code, outcome.join(', ') || 'no flag', (code === 'error') === outcome.length > 0),
    otlp.links.length + xray.links.length === 0 ? null : row('Links', ends(otlp), ends(xray), ends(otlp) === ends(xray)),
    events(otlp) + events(xray) + kept.length === 0 ? null : {
      label: 'Events', otlp: `${events(otlp)}, below`, mark: null,
      xray: [{ value: `${events(xray)}, below`, path: 'cause' }, ...kept.map(({ value, path }) => ({ value: String(value?.length ?? 0), path }))],
    },
  ].filter(Boolean);
}

function attributes(values, places) {
  const urls = URLS.flatMap((path) => places.left.get(path) ?? []);
  return Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => {
    const found = places.ofAttribute(key);
    const url = IN_URL.includes(key) ? urls.find((place) => String(place.value).includes(String(value))) : null;
    if (found.length === 0 && url) {
      places.take(url.path);
      return { label: key, otlp: value, xray: [url], mark: 'same' };
    }
    return { label: key, otlp: value, xray: found, mark: compare(value, found[0]) };
  });
}

function compare(value, place) {
  if (!place) return 'alone';
  if (equal(value, place.value)) return 'same';
  return typeof value === 'string' && typeof place.value === 'string' && value.startsWith(place.value) ? 'cut' : 'differs';
}

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

// The fields of a document that are not yet shown next to their counterparts.
class Places {
  constructor({ annotations = {}, metadata = {}, ...fields }) {
    this.left = new Map();
    for (const [key, value] of Object.entries(fields)) if (!FLAGS.includes(key)) this.flatten(key, value);
    for (const [key, value] of Object.entries(annotations)) this.add(`annotations:${key}`, { label: key, path: 'annotations', value });
    this.keep('metadata', metadata);
  }

  // Values of the span itself are stored next to its attributes, and may have an attribute's name.
  keep(path, values) {
    for (const [key, value] of Object.entries(values)) {
      if (isObject(value)) this.keep(`${path}.${key}`, value);
      else this.add(`${path === 'metadata.otel' ? path : 'metadata'}:${key}`, { label: key, path, value });
    }
  }

  flatten(path, value) {
    if (isObject(value)) for (const [key, inner] of Object.entries(value)) this.flatten(`${path}.${key}`, inner);
    else this.add(path, { label: path, path, value });
  }

  add(name, place) {
    this.left.set(name, [...(this.left.get(name) ?? []), place]);
  }

  take(name) {
    const places = this.left.get(name) ?? [];
    this.left.delete(name);
    return places;
  }

  // An annotation's key has only letters, digits and _.
  ofAttribute(key) {
    const short = key.replace(/^annotation\./, '');
    const names = [FIELD[key], `annotations:${short}`, `annotations:${short.replace(/[^A-Za-z0-9_]/g, '_')}`, `metadata:${key}`];
    return names.flatMap((name) => this.take(name));
  }

  rest() {
    const places = [...this.left.values()].flat().sort((a, b) => (a.path + a.label < b.path + b.label ? -1 : 1));
    return places.map(({ label, path, value }) => ({ label, xray: [{ value, path: path === label ? null : path }], mark: 'alone' }));
  }
}
