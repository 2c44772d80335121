// Forms: one submission at a time, with errors explained in words.

import { hex } from '/trace.js';
import { SignInNeeded, wordsFor } from '/api.js';
import { lengthOf } from '/page.js';

// `send` gets the fields. While `isReady` returns false, the form cannot be sent.
export function wireForm(form, send, isReady = () => true) {
  const submit = form.querySelector('[type=submit]');
  let sending = false;
  const refresh = () => { submit.disabled = sending || !isReady(); };
  const setSending = (value) => {
    sending = value;
    for (const field of form.querySelectorAll('input, textarea')) field.readOnly = value;
    refresh();
  };
  form.addEventListener('input', refresh);
  // The fields are cleared after this event.
  form.addEventListener('reset', () => queueMicrotask(refresh));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (submit.disabled) return;
    showFailure(form, null);
    setSending(true);
    try {
      await send(Object.fromEntries(new FormData(form)));
    } catch (failure) {
      showFailure(form, failure);
    }
    setSending(false);
  });
  refresh();
}

// The dialog shows the failure if a sign-in is needed.
function showFailure(form, failure) {
  const error = form.querySelector('.form-error');
  error.hidden = !failure || failure instanceof SignInNeeded;
  error.textContent = error.hidden ? '' : wordsFor(failure);
  const isWrong = (field) => failure?.codes?.some((code) => code.startsWith(`${field.name}_`)) ?? false;
  const wrong = [...form.querySelectorAll('[name]')].filter((field) => {
    field.ariaInvalid = isWrong(field);
    return isWrong(field);
  });
  wrong[0]?.focus();
}

// A form for a text of at most `maxChars` characters. `send` also gets the key of this text.
export function wireComposer(form, maxChars, send) {
  const text = form.elements.message;
  const counter = form.querySelector('.counter');
  const keys = keyring();
  const isReady = () => {
    const left = maxChars - lengthOf(text.value);
    counter.value = left;
    counter.classList.toggle('over', left < 0);
    text.ariaInvalid = left < 0;
    return left >= 0 && text.value.trim() !== '';
  };
  const sendOnce = async (fields) => {
    await send(fields, keys.keyFor(fields));
    keys.forget();
    text.value = '';
  };
  wireForm(form, sendOnce, isReady);
  text.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

// The same text keeps its key until it has arrived: after a lost response, the next attempt must not make a second crud.
function keyring() {
  let last = null;
  let key = null;
  const keyFor = (fields) => {
    const written = JSON.stringify(fields);
    // Not `randomUUID`, which exists only on https and localhost.
    if (written !== last) [last, key] = [written, hex(16)];
    return key;
  };
  return { keyFor, forget: () => { last = null; } };
}
