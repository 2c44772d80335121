// A crud on the page with its replies, and notifications about the user's cruds.

import { GONE, REACTIONS, paintReaction, react, share, wireDeletion } from '/actions.js';
import { REPLY_MAX_CHARS } from '/api.js';
import { wireComposer } from '/forms.js';
import { crudHash, linked, linkTo, paintAvatar, paintTimes, profileHash, setText, setTime, stamped } from '/page.js';
import { act, isMe, requireUser } from '/session.js';

const DEEDS = { reply: 'replied to you', like: 'liked your crud', repost: 'reposted your crud' };
const COUNTS = ['likes_count', 'replies_count', 'reposts_count'];

const activities = new WeakMap();

export function crudItem(activity, isReply = false) {
  const item = stamped('crud-template');
  activities.set(item, activity);
  item.dataset.uuid = activity.uuid;
  paintAvatar(item, activity.handle, activity.display_name);
  item.querySelector('.who').href = profileHash(activity.handle);
  item.querySelector('.permalink').href = crudHash(activity);
  setText(item, '.name', activity.display_name);
  setText(item, '.handle', `@${activity.handle}`);
  item.querySelector('.message').append(...linked(activity.message));
  setTime(item.querySelector('.age'), activity.created_at);
  setTime(item.querySelector('.left-text'), activity.expires_at);
  item.querySelector('.answering').hidden = isReply || !activity.reply_to_activity_uuid;
  wireActions(item, activity);
  item.querySelector('.replies').append(...replyItems(activity.replies ?? []));
  paintActions(item);
  paintTimes(item);
  return item;
}

// Oldest first, in reading order.
function replyItems(replies) {
  const inOrder = replies.toSorted((a, b) => Date.parse(a.created_at) - Date.parse(b.created_at));
  return inOrder.map((reply) => crudItem(reply, true));
}

// The first reply that a further page has added gets the focus.
export function addOlderReplies(uuid, replies) {
  const list = document.querySelector(`#feed > [data-uuid="${CSS.escape(uuid)}"] .replies`);
  list?.prepend(...replyItems(replies));
  list?.querySelector('a')?.focus({ preventScroll: true });
}

export function freshItem(activity, isReply) {
  const item = crudItem(activity, isReply);
  item.classList.add('fresh');
  return item;
}

export function notificationItem(activity) {
  const { kind, handle, display_name, created_at } = activity.notification;
  const item = crudItem(activity, true);
  const cause = stamped('cause-template');
  cause.dataset.kind = kind;
  cause.querySelector('use').setAttribute('href', `#icon-${kind}`);
  cause.querySelector('.actor').append(linkTo(profileHash(handle), display_name));
  setText(cause, '.deed', DEEDS[kind] ?? 'reacted to your crud');
  setTime(cause.querySelector('.age'), created_at);
  item.prepend(cause);
  paintTimes(cause);
  return item;
}

// ---- Actions

function wireActions(item, activity) {
  const onClick = (selector, listener) => item.querySelector(selector).addEventListener('click', listener);
  onClick('.reply-button', () => toggleReplyForm(item, activity));
  for (const kind of REACTIONS) {
    onClick(`.${kind}-button`, () => react(item, kind, activity.uuid, (answer) => noteCounts(activity.uuid, answer)));
  }
  onClick('.share-button', () => share(activity));
  wireDeletion(item, activity, () => {
    const parent = item.parentElement?.closest('.crud');
    if (parent) addReplies(parent, -1);
  });
}

// Updates the parts that depend on counts or on the signed-in user.
function paintActions(item) {
  const activity = activities.get(item);
  setText(item, '.reply-button .count', activity.replies_count || '');
  for (const kind of REACTIONS) paintReaction(item, kind, activity);
  item.querySelector('.delete-button').hidden = !isMe(activity.handle);
}

export const paintAllActions = () => document.querySelectorAll('.crud').forEach(paintActions);

// The same crud may be on the page more than once.
function noteCounts(uuid, answer) {
  for (const item of document.querySelectorAll(`.crud[data-uuid="${CSS.escape(uuid)}"]`)) {
    for (const count of COUNTS) activities.get(item)[count] = answer[count];
    paintActions(item);
  }
}

function addReplies(item, change) {
  activities.get(item).replies_count += change;
  paintActions(item);
}

// ---- Replying

function toggleReplyForm(item, activity) {
  const openForm = item.querySelector(':scope > .reply');
  if (openForm) closeReplyForm(item, openForm);
  else if (requireUser('Sign in to reply.')) openReplyForm(item, activity);
}

function closeReplyForm(item, form) {
  const button = item.querySelector('.reply-button');
  form.remove();
  button.ariaExpanded = 'false';
  button.focus();
}

function openReplyForm(item, activity) {
  const form = stamped('reply-template');
  setText(form, '.quote b', `@${activity.handle}`);
  setText(form, '.quote span', activity.message);
  form.ariaLabel = `Reply to @${activity.handle}`;
  form.querySelector('.cancel').addEventListener('click', () => closeReplyForm(item, form));
  wireComposer(form, REPLY_MAX_CHARS, async ({ message }, key) => {
    const url = `/api/activities/${encodeURIComponent(activity.uuid)}/reply`;
    const { answer: reply } = await act('reply.post', 'Post reply', url, { body: { message }, key, words: GONE });
    addReplies(item, 1);
    item.querySelector('.replies').append(freshItem(reply, true));
    closeReplyForm(item, form);
  });
  item.querySelector('.crud-card').after(form);
  item.querySelector('.reply-button').ariaExpanded = 'true';
  form.elements.message.focus();
}
