// Calls the API, with one trace for each action of a user, and explains its refusals in plain words.

import { interaction } from '/trace.js';
import { showTrace } from '/latest.js';
import { counted, noteServerClock, serverNow } from '/page.js';

export const CRUD_MAX_CHARS = 280;
export const REPLY_MAX_CHARS = 1024;

const REFUSALS = {
  ttl_blank: 'Choose how long the crud should live.',
  message_blank: 'Write something first.',
  message_exceed_max_chars: `That is too long: a crud has at most ${CRUD_MAX_CHARS} characters, a reply or a message at most ${REPLY_MAX_CHARS}.`,
  activity_uuid_blank: 'The crud you are replying to is missing. Reload the page and try again.',
  search_term_blank: 'Type a word to search for.',
  blank_user_handle: 'The address has no handle. It must end in one, such as @andrewbrown.',
  user_reciever_handle_blank: 'The message has no recipient. Open a profile and choose Message.',
  message_group_uuid_blank: 'The conversation is missing. Open it again from Messages.',
  handle_blank: 'Choose a handle.',
  handle_invalid: 'A handle has 1 to 30 characters: a–z, 0–9 and _.',
  display_name_blank: 'Enter the name that others will see.',
  display_name_exceed_max_chars: 'A name has at most 50 characters.',
  bio_exceed_max_chars: 'A bio has at most 160 characters.',
  email_blank: 'Enter your e-mail address.',
  email_invalid: 'Enter a valid e-mail address, such as you@example.com.',
  login_blank: 'Enter your handle or e-mail address.',
  password_blank: 'Enter your password.',
  password_too_short: 'A password has at least 10 characters.',
  password_exceed_max_chars: 'A password has at most 256 characters.',
};

// A refusal that can be shown to the user; `codes` are the API's, for faults in a form.
class Refused extends Error {
  name = 'Refused';

  constructor(message, status, codes = []) {
    super(message);
    Object.assign(this, { status, codes });
  }
}

export class SignInNeeded extends Refused {
  name = 'SignInNeeded';
}

// `name` is the name of the browser's span.
export const callApi = (name, ...call) => inOneTrace(name, (ask) => ask(...call));

// Runs `run` with a function that calls the API, for actions that need several calls.
export const inOneTrace = (name, run) => interaction(name, (fetch) => run((...call) => callWith(fetch, ...call)));

// `words` explain a status for this call. A quiet call is not an action of the user.
async function callWith(fetch, action, url, { words = {}, signal, quiet, ...call } = {}) {
  const started = performance.now();
  const response = await fetch(url, { signal, ...requestOf(call) }).catch(() => {
    signal?.throwIfAborted();
    throw new Refused('Cruddur cannot be reached. Check your connection and try again.');
  });
  const answer = response.status === 204 ? {} : await response.json().catch(() => null);
  signal?.throwIfAborted();
  noteServerClock(response);
  if (!quiet) showTrace(response.ok ? action : `${action} failed`, traceIdOf(response, answer), performance.now() - started);
  if (!response.ok || !answer) throw refusalOf(response, answer, words);
  return { answer, nextUrl: nextUrlOf(response) };
}

function requestOf({ body, method = body ? 'POST' : 'GET', key }) {
  const headers = { ...(body && { 'content-type': 'application/json' }), ...(key && { 'idempotency-key': key }) };
  return { method, headers, ...(body && { body: JSON.stringify(body) }) };
}

function refusalOf(response, answer, words) {
  const { status } = response;
  if (words[status]) return new Refused(words[status], status);
  if (status === 401) return new SignInNeeded('Sign in to do that.', status);
  if (status === 429) return new Refused(`Too many attempts. Try again ${whenToRetry(response)}.`, status);
  return new Refused(inPlainWords(response, answer), status, Array.isArray(answer) ? answer : []);
}

// `Retry-After` is a number of seconds or a date.
function whenToRetry(response) {
  const retryAfter = response.headers.get('retry-after') ?? '';
  const seconds = Math.ceil(Number(retryAfter) || (Date.parse(retryAfter) - serverNow()) / 1000);
  if (!(seconds > 0)) return 'in a moment';
  return seconds < 90 ? `in ${counted(seconds, 'second', 'seconds')}` : `in ${Math.ceil(seconds / 60)} minutes`;
}

function inPlainWords(response, answer) {
  if (Array.isArray(answer)) {
    return answer.map((code) => REFUSALS[code] ?? `The server refused this: ${code}.`).join(' ');
  }
  if (!answer?.title) return `The server sent a response that this page cannot read (status ${response.status}).`;
  return [answer.title, answer.detail].filter(Boolean).join(': ');
}

export const refusal = (code) => REFUSALS[code];

export function wordsFor(failure) {
  if (failure instanceof Refused) return failure.message;
  console.error(failure);
  return 'Something went wrong on this page. Reload it and try again.';
}

function traceIdOf(response, answer) {
  const timing = response.headers.get('server-timing') ?? '';
  const [, id, flags] = timing.match(/traceparent;desc="00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})"/) ?? [];
  // An unrecorded trace has nothing to look at.
  if (flags && !(parseInt(flags, 16) & 1)) return null;
  return id ?? answer?.trace_id;
}

function nextUrlOf(response) {
  const target = (response.headers.get('link') ?? '').match(/<([^>]*)>[^,<]*\brel="?next\b/)?.[1];
  if (!target) return null;
  // Only path and query: behind a proxy the backend may name a host that the browser cannot reach.
  const { pathname, search } = new URL(target, location.origin);
  return pathname + search;
}
