// Forms: sent once at a time, and told in words what was wrong with them.

import { hex } from '/trace.js';
import { SignInNeeded, wordsFor } from '/api.js';
import { lengthOf } from '/page.js';

// `send` gets the fields. While `isReady` says no, the form cannot be sent.
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
  // The fields are empty only after the event.
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

// The dialog says it where a sign-in is needed.
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

// A form for a text of so many characters. `send` gets also the key of this text.
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

// The same text keeps its key until it has arrived: an answer that was lost must not make a second crud of the next attempt.
function keyring() {
  let last = null;
  let key = null;
  const keyFor = (fields) => {
    const written = JSON.stringify(fields);
    // Not `randomUUID`, which there is on https and localhost alone.
    if (written !== last) [last, key] = [written, hex(16)];
    return key;
  };
  return { keyFor, forget: () => { last = null; } };
}
