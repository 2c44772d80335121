// Joining, signing in and out, and links that sign in once.

import { callApi, wordsFor } from '/api.js';
import { wireForm } from '/forms.js';
import { byId, paintAvatar, profileHash, say, setText } from '/page.js';
import { askToSignIn, become, checkSession, ELSEWHERE, signedIn, signOut, whenSessionChanges } from '/session.js';

const SIGN_IN = '/api/auth/signin';

export function wireSignIn() {
  wireForm(byId('signin-form'), async (fields) => {
    const words = { 401: 'No account has this name and password. Check both and try again.', 404: ELSEWHERE };
    const { answer } = await callApi('session.sign_in', 'Sign in', SIGN_IN, { body: fields, words });
    enter(answer, `You are signed in as @${answer.handle}.`);
  });
  wireForm(byId('signup-form'), async (fields) => {
    const words = { 409: 'That handle or e-mail address is taken. Choose another, or sign in.', 404: ELSEWHERE };
    const { answer } = await callApi('session.sign_up', 'Join', '/api/auth/signup', { body: fields, words });
    enter(answer, `Welcome, @${answer.handle}. Your account is ready.`);
  });
  byId('auth-close').addEventListener('click', () => byId('auth-dialog').close());
  for (const button of document.querySelectorAll('[data-ask]')) {
    button.addEventListener('click', () => askToSignIn('', button.dataset.ask));
  }
  byId('signout-button').addEventListener('click', leave);
  whenSessionChanges(paintAccount);
}

// A password stays on the page no longer than necessary.
function enter(user, news) {
  byId('signin-form').reset();
  byId('signup-form').reset();
  become(user);
  say(news);
}

async function leave() {
  try {
    await signOut();
    say('You are signed out.');
  } catch (failure) {
    say(wordsFor(failure));
  }
}

// The token must not stay in the history, even if the sign-in fails.
export async function signInByLink(token) {
  history.replaceState(null, '', '#/');
  const words = { 401: 'This sign-in link is invalid, has expired or was already used. Sign in with your password.', 404: ELSEWHERE };
  try {
    const { answer } = await callApi('session.sign_in', 'Sign in', SIGN_IN, { body: { token }, words });
    enter(answer, `You are signed in as @${answer.handle}. The link cannot be used again.`);
  } catch (failure) {
    await checkSession();
    if (signedIn()) say(wordsFor(failure));
    else askToSignIn(wordsFor(failure));
  }
}

function paintAccount() {
  const user = signedIn();
  byId('profile-link').href = user ? profileHash(user.handle) : '#/profile';
  if (!user) return;
  const account = byId('account');
  paintAvatar(account, user.handle, user.display_name);
  setText(account, '.name', user.display_name);
  setText(account, '.handle', `@${user.handle}`);
  setText(byId('writer'), 'b', `@${user.handle}`);
}
