// Actions on a crud other than replying: like, repost, share, delete.

import { wordsFor, SignInNeeded } from '/api.js';
import { blowUp, byId, crudHash, say, setText } from '/page.js';
import { act, requireUser, signedIn } from '/session.js';

export const REACTIONS = ['repost', 'like'];
export const GONE = { 404: 'That crud is gone: it expired, or was deleted.' };

const VERBS = { like: ['Like', 'Unlike'], repost: ['Repost', 'Undo repost'] };
const PRESSED = 'cruddur.pressed';

const urlOf = (uuid) => `/api/activities/${encodeURIComponent(uuid)}`;

// Runs one attempt at a time, and shows below the crud why it failed.
async function attempt(item, button, run) {
  const error = item.querySelector('.crud-error');
  if (button.ariaBusy === 'true') return;
  button.ariaBusy = 'true';
  error.hidden = true;
  try {
    await run();
  } catch (failure) {
    error.hidden = failure instanceof SignInNeeded;
    error.textContent = wordsFor(failure);
  }
  button.ariaBusy = 'false';
}

// ---- Liking and reposting

// The API does not return the user's likes, so the tab remembers which buttons each user has pressed in it.
const pressed = new Set(JSON.parse(sessionStorage.getItem(PRESSED) ?? '[]'));
const pressKey = (kind, uuid) => `${signedIn()?.handle} ${kind} ${uuid}`;

function remember(kind, uuid, isPressed) {
  if (isPressed) pressed.add(pressKey(kind, uuid));
  else pressed.delete(pressKey(kind, uuid));
  sessionStorage.setItem(PRESSED, JSON.stringify([...pressed]));
}

export function paintReaction(item, kind, activity) {
  const button = item.querySelector(`.${kind}-button`);
  const isPressed = pressed.has(pressKey(kind, activity.uuid));
  const [does, undoes] = VERBS[kind];
  button.ariaPressed = isPressed;
  button.title = isPressed ? undoes : does;
  setText(button, '.count', activity[`${kind}s_count`] || '');
}

// `counted` gets the crud with its new counts.
export function react(item, kind, uuid, counted) {
  if (!requireUser(`Sign in to ${kind} a crud.`)) return;
  const button = item.querySelector(`.${kind}-button`);
  attempt(item, button, async () => {
    const undoes = pressed.has(pressKey(kind, uuid));
    const name = undoes ? `crud.un${kind}` : `crud.${kind}`;
    const method = undoes ? 'DELETE' : 'POST';
    const { answer } = await act(name, VERBS[kind][Number(undoes)], `${urlOf(uuid)}/${kind}`, { method, words: GONE });
    remember(kind, uuid, !undoes);
    counted(answer);
  });
}

// ---- Sharing

export async function share(activity) {
  const link = new URL(crudHash(activity), location.origin).href;
  try {
    await navigator.clipboard.writeText(link);
    say('Copied the link to this crud.');
  } catch {
    // The clipboard needs https or localhost, and permission.
    say(`The link to this crud: ${link}`);
  }
}

// ---- Deleting

// `deleted` is called while the crud is still on the page.
export function wireDeletion(item, { uuid }, deleted) {
  const button = item.querySelector('.delete-button');
  const question = item.querySelector('.confirm');
  const ask = (isAsked) => {
    question.hidden = !isAsked;
    button.ariaExpanded = isAsked;
    (isAsked ? question.querySelector('.keep') : button).focus();
  };
  button.addEventListener('click', () => ask(question.hidden));
  question.querySelector('.keep').addEventListener('click', () => ask(false));
  question.addEventListener('keydown', ({ key }) => key === 'Escape' && ask(false));
  question.querySelector('.sure').addEventListener('click', () => attempt(item, button, async () => {
    const words = { ...GONE, 403: 'Only its author can delete a crud.' };
    await act('crud.delete', 'Delete crud', urlOf(uuid), { method: 'DELETE', words });
    deleted();
    remove(item, uuid);
  }));
}

function remove(item, uuid) {
  const next = item.nextElementSibling?.querySelector('.who') ?? byId('view-title');
  document.querySelectorAll(`.crud[data-uuid="${CSS.escape(uuid)}"]`).forEach(blowUp);
  next.focus({ preventScroll: true });
  say('Deleted the crud.');
}
