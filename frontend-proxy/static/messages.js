// Conversations: their list, a single one, and writing in it.

import { REPLY_MAX_CHARS } from '/api.js';
import { wireComposer } from '/forms.js';
import { byId, conversationHash, linked, paintAvatar, paintTimes, profileHash, setText, setTime, stamped } from '/page.js';
import { act, isMe } from '/session.js';

export function conversationItem({ handle, display_name, message, created_at }) {
  const item = stamped('conversation-template');
  item.querySelector('a').href = conversationHash(handle);
  paintAvatar(item, handle, display_name);
  setText(item, '.name', display_name);
  setText(item, '.handle', `@${handle}`);
  setText(item, '.preview', message);
  setTime(item.querySelector('.age'), created_at);
  paintTimes(item);
  return item;
}

export function messageItem({ uuid, handle, display_name, message, created_at }) {
  const item = stamped('message-template');
  item.dataset.uuid = uuid;
  item.classList.toggle('mine', isMe(handle));
  paintAvatar(item, handle, display_name);
  Object.assign(item.querySelector('.who'), { href: profileHash(handle), ariaLabel: display_name });
  item.querySelector('.message').append(...linked(message));
  setTime(item.querySelector('.age'), created_at);
  paintTimes(item);
  return item;
}

// A 404 for an existing user means an empty conversation; for an unknown user it is an error.
export async function conversationWith(handle, ask, action, url, options) {
  const name = encodeURIComponent(handle);
  try {
    return await ask(action, url, { ...options, words: { 404: 'There is no such conversation.' } });
  } catch (failure) {
    if (failure.status !== 404) throw failure;
    await ask(action, `/api/users/@${name}/short`, { ...options, words: { 404: `There is no user @${handle}.` } });
    return { answer: [], nextUrl: null };
  }
}

// ---- Writing

let receiver = null;

export function openMessageForm(handle) {
  const form = byId('message-form');
  // A message started for one user must not be sent to another.
  if (receiver !== handle) form.reset();
  receiver = handle;
  form.ariaLabel = `Message to @${handle}`;
  form.hidden = false;
  window.scrollTo(0, document.documentElement.scrollHeight);
}

export function wireMessageForm() {
  const form = byId('message-form');
  wireComposer(form, REPLY_MAX_CHARS, async ({ message }, key) => {
    const to = receiver;
    const words = { 404: `There is no user @${to}.` };
    const { answer } = await act('message.send', 'Send message', '/api/messages', { body: { message, user_receiver_handle: to }, key, words });
    if (form.hidden || receiver !== to) return;
    byId('feed').append(messageItem(answer));
    window.scrollTo(0, document.documentElement.scrollHeight);
  });
}
