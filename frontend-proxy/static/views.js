// The view for each address. An address is a hash, because the server has only one page.

import { addOlderReplies, crudItem, notificationItem } from '/cruds.js';
import { conversationItem, conversationWith, messageItem, openMessageForm } from '/messages.js';
import { profileHash } from '/page.js';
import { showProfile } from '/profile.js';
import { signedIn } from '/session.js';

// The first route that fits. `name` is the span's name, and contains nothing of the address.
const ROUTES = [
  [/^#\/@([^/]+)\/status\/([^/]+)$/, crud],
  [/^#\/@([^/]+)$/, profile],
  [/^#\/search\/(.+)$/s, search],
  [/^#\/notifications$/, notifications],
  [/^#\/messages$/, messages],
  [/^#\/messages\/@([^/]+)$/, conversation],
  [/^#\/profile$/, ownProfile],
];

export function viewAt(hash) {
  const address = decoded(hash);
  for (const [pattern, view] of ROUTES) {
    const match = address.match(pattern);
    if (match) return { item: crudItem, entries: (answer) => answer, ...view(...match.slice(1)) };
  }
  return { item: crudItem, entries: (answer) => answer, ...home() };
}

function decoded(hash) {
  try {
    return decodeURIComponent(hash);
  } catch {
    return '';
  }
}

function home() {
  return {
    title: 'Home',
    name: 'view.home',
    action: 'Load home',
    url: '/api/activities/home',
    empty: 'No cruds yet. Write the first one.',
    link: '#/',
    isHome: true,
  };
}

function profile(handle) {
  return {
    title: `@${handle}`,
    name: 'view.profile',
    action: 'Open profile',
    url: `/api/activities/@${encodeURIComponent(handle)}`,
    empty: `@${handle} has no cruds right now.`,
    words: { 404: `There is no user @${handle}.` },
    link: profileHash(handle),
    entries: (answer) => answer.activities ?? answer,
    arrived: (answer) => answer.profile && showProfile(answer.profile),
  };
}

// The signed-in user's profile has an address that others can open too.
function ownProfile() {
  const user = signedIn();
  return {
    title: 'Profile',
    empty: '',
    link: '#/profile',
    needsUser: 'Sign in to see your profile.',
    elsewhere: user && profileHash(user.handle),
  };
}

function crud(handle, uuid) {
  return {
    title: `Crud by @${handle}`,
    name: 'view.crud',
    action: 'Open crud',
    url: `/api/activities/@${encodeURIComponent(handle)}/status/${encodeURIComponent(uuid)}`,
    empty: 'This crud is gone.',
    words: { 404: 'This crud is gone: it expired, was deleted, or never existed.' },
    entries: ({ activity, replies }) => [{ ...activity, replies }],
    // A further page contains only replies.
    addMore: ({ replies }) => addOlderReplies(uuid, replies),
  };
}

function search(term) {
  return {
    title: `Search: ${term}`,
    name: 'view.search',
    action: 'Search',
    url: `/api/activities/search?${new URLSearchParams({ term })}`,
    empty: `No crud contains “${term}”. Older ones may have expired.`,
    term,
  };
}

function notifications() {
  return {
    title: 'Notifications',
    name: 'view.notifications',
    action: 'Open notifications',
    url: '/api/activities/notifications',
    empty: 'Nothing yet. Replies, likes and reposts of your cruds appear here.',
    link: '#/notifications',
    needsUser: 'Sign in to see who replied to, liked or reposted your cruds.',
    item: notificationItem,
    mayRepeat: true,
  };
}

function messages() {
  return {
    title: 'Messages',
    name: 'view.messages',
    action: 'Open messages',
    url: '/api/message_groups',
    empty: 'No conversations yet. Open a profile and choose Message.',
    link: '#/messages',
    needsUser: 'Sign in to read your messages.',
    item: conversationItem,
  };
}

function conversation(handle) {
  return {
    title: `Messages with @${handle}`,
    name: 'view.conversation',
    action: 'Open conversation',
    url: `/api/messages/@${encodeURIComponent(handle)}`,
    empty: `No messages between you and @${handle} yet.`,
    link: '#/messages',
    needsUser: `Sign in to write to @${handle}.`,
    label: 'Messages',
    older: 'Show older messages',
    isNewestLast: true,
    item: messageItem,
    load: (...call) => conversationWith(handle, ...call),
    arrived: () => openMessageForm(handle),
  };
}
