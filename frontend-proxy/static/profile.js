// A user's profile; users can edit their own.

import { wireForm } from '/forms.js';
import { byId, conversationHash, counted, linked, paintAvatar, say, setText } from '/page.js';
import { act, become, isMe, signedIn } from '/session.js';

let shown = null;

export function showProfile(profile) {
  const section = byId('profile');
  shown = profile;
  paintAvatar(section, profile.handle, profile.display_name);
  setText(section, '.name', profile.display_name);
  setText(section, '.handle', `@${profile.handle}`);
  section.querySelector('.bio').replaceChildren(...linked(profile.bio ?? ''));
  setText(section, '.cruds-count', counted(profile.cruds_count, 'crud', 'cruds'));
  byId('message-link').href = conversationHash(profile.handle);
  section.hidden = false;
  paintProfileActions();
}

export function hideProfile() {
  byId('profile').hidden = true;
  shown = null;
  paintProfileActions();
}

// The user's own profile has an edit button, any other a message button.
export function paintProfileActions() {
  const isMine = shown !== null && isMe(shown.handle);
  byId('edit-profile').hidden = !isMine;
  byId('message-link').hidden = isMine;
  if (!isMine) setEditing(false);
}

function setEditing(isEditing) {
  byId('profile-form').hidden = !isEditing;
  byId('edit-profile').ariaExpanded = isEditing;
}

function startEditing() {
  const form = byId('profile-form');
  form.elements.display_name.value = shown.display_name;
  form.elements.bio.value = shown.bio ?? '';
  setEditing(true);
  form.elements.display_name.focus();
}

function stopEditing() {
  setEditing(false);
  byId('edit-profile').focus();
}

export function wireProfile() {
  const form = byId('profile-form');
  byId('edit-profile').addEventListener('click', () => (form.hidden ? startEditing() : stopEditing()));
  form.querySelector('.cancel').addEventListener('click', stopEditing);
  wireForm(form, async (fields) => {
    const { answer } = await act('profile.update', 'Save profile', '/api/profile/update', { method: 'PUT', body: fields });
    const { handle, display_name, bio } = answer;
    become({ ...signedIn(), handle, display_name, bio });
    if (shown?.handle === handle) showProfile(answer);
    renameCruds(answer);
    stopEditing();
    say('Your profile is saved.');
  });
}

function renameCruds({ handle, display_name }) {
  for (const who of document.querySelectorAll('.crud .who')) {
    if (who.querySelector('.handle').textContent !== `@${handle}`) continue;
    setText(who, '.name', display_name);
    paintAvatar(who.closest('.crud-card'), handle, display_name);
  }
}
