// The signed-in user. Scripts cannot see the cookie: the API identifies the user, at start and with each refusal.

import { callApi, inOneTrace, SignInNeeded } from '/api.js';
import { byId } from '/page.js';

const FORMS = {
  signin: { title: 'Sign in', other: 'signup', question: 'New here?', answer: 'Create an account' },
  signup: { title: 'Join Cruddur', other: 'signin', question: 'Have an account?', answer: 'Sign in' },
};

export const ELSEWHERE = 'This Cruddur has no accounts of its own. Sign in through your organisation.';

let user = null;
let isElsewhere = false;
const listeners = [];
const { promise: sessionIsKnown, resolve: nowKnown } = Promise.withResolvers();

export { sessionIsKnown };
export const signedIn = () => user;
export const isMe = (handle) => user !== null && user.handle === handle;
export const whenSessionChanges = (listener) => listeners.push(listener);

// Whether a user has signed in here. If none ever has, no request is needed: the response would be an error.
const MARK = 'cruddur-signed-in';

export function become(next) {
  user = next;
  remember(user !== null);
  document.documentElement.dataset.session = user ? 'in' : 'out';
  nowKnown();
  // If the user pressed a button before the first response, the dialog opened needlessly.
  if (user) byId('auth-dialog').close();
  for (const listener of listeners) listener();
}

// Reports neither a signed-out user nor an unreachable server: a call that needs more than this reports it.
export function checkSession() {
  if (!mayBeSignedIn()) return become(null);
  return inOneTrace('session.check', async (ask) => {
    const found = await ask('Check session', '/api/auth/me', { quiet: true }).catch(() => null);
    become(found?.answer ?? null);
  });
}

function mayBeSignedIn() {
  try {
    return localStorage.getItem(MARK) !== null;
  } catch {
    return true;
  }
}

function remember(isSignedIn) {
  try {
    if (isSignedIn) localStorage.setItem(MARK, 'yes');
    else localStorage.removeItem(MARK);
  } catch {
    // Storage may be forbidden: then each start sends a request to the API.
  }
}

export async function signOut() {
  await callApi('session.sign_out', 'Sign out', '/api/auth/signout', { method: 'POST' });
  location.hash = '#/';
  become(null);
}

// ---- What needs a session

export const act = (name, ...call) => perform(name, (ask) => ask(...call));

export async function perform(name, run) {
  try {
    return await inOneTrace(name, run);
  } catch (failure) {
    if (failure instanceof SignInNeeded) {
      const reason = user ? 'Your session has ended. Sign in again to continue.' : failure.message;
      become(null);
      askToSignIn(reason);
    }
    throw failure;
  }
}

export function requireUser(reason) {
  if (!user) askToSignIn(reason);
  return user !== null;
}

// ---- The dialog

export function askToSignIn(reason, form = 'signin') {
  const dialog = byId('auth-dialog');
  byId('auth-reason').textContent = isElsewhere ? ELSEWHERE : reason;
  if (!dialog.open) dialog.showModal();
  if (!isElsewhere) showForm(form);
}

// The style sheet hides the forms and the links to them.
export function signInElsewhere() {
  isElsewhere = true;
  document.documentElement.dataset.accounts = 'issued';
  if (byId('auth-dialog').open) byId('auth-reason').textContent = ELSEWHERE;
}

function showForm(name) {
  const { title, other, question, answer } = FORMS[name];
  byId(`${name}-form`).hidden = false;
  byId(`${other}-form`).hidden = true;
  byId('auth-title').textContent = title;
  byId('auth-question').textContent = question;
  Object.assign(byId('auth-switch'), { textContent: answer, onclick: () => showForm(other) });
  byId('auth-switch').dataset.testid = `show-${other}`;
  byId(`${name}-form`).querySelector('input').focus();
}
