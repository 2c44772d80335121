// The right column: a search, trends, suggested users, and how this Cruddur runs.

import { inOneTrace, refusal } from '/api.js';
import { openView } from '/feed.js';
import { byId, counted, linkTo, paintAvatar, profileHash, searchHash, setText, stamped } from '/page.js';
import { signInElsewhere } from '/session.js';

// A part that fails to load is omitted: the user has not requested it.
export function loadExtras() {
  return inOneTrace('extras.load', (ask) => {
    const load = (url, paint) => ask('Load extras', url, { quiet: true }).then(({ answer }) => paint(answer), () => null);
    return Promise.all([
      load('/api/trending', showTrending),
      load('/api/users/suggested', showSuggested),
      load('/api/health-check', showMode),
    ]);
  });
}

function showTrending(tags) {
  const items = tags.map(({ hashtag, count }) => {
    const item = document.createElement('li');
    item.dataset.testid = 'trending-tag';
    item.append(linkTo(searchHash(`#${hashtag}`), `#${hashtag}`), ` ${counted(count, 'crud', 'cruds')}`);
    return item;
  });
  showList('trending', items);
}

function showSuggested(users) {
  const items = users.map(({ handle, display_name }) => {
    const item = stamped('person-template');
    item.querySelector('a').href = profileHash(handle);
    paintAvatar(item, handle, display_name);
    setText(item, '.name', display_name);
    setText(item, '.handle', `@${handle}`);
    return item;
  });
  showList('suggested', items);
}

function showList(id, items) {
  byId(id).hidden = items.length === 0;
  byId(id).querySelector('ol').replaceChildren(...items);
}

// Modes that a user should know of: week 2, and injected faults.
function showMode({ faults, accounts, acts_as }) {
  byId('week2').hidden = !acts_as;
  byId('week2').textContent = acts_as ? `Week 2 mode is on: pages of the configured origins act as @${acts_as} without signing in.` : '';
  if (accounts === 'issued') signInElsewhere();
  byId('faults').hidden = !faults;
  byId('faults').textContent = faults ? `Faults are on: ${faults.split(',').join(', ')}. They slow or break what you do here, on purpose.` : '';
}

// ---- Searching

function search(event) {
  event.preventDefault();
  const term = byId('search-term').value.trim();
  byId('search-error').textContent = refusal('search_term_blank');
  byId('search-error').hidden = term !== '';
  if (!term) return;
  if (location.hash === searchHash(term)) openView();
  else location.hash = searchHash(term);
}

export function wireExtras() {
  byId('search-form').addEventListener('submit', search);
  const isWide = matchMedia('(min-width: 1000px)').matches;
  for (const card of document.querySelectorAll('.extras details')) card.open = isWide;
}
