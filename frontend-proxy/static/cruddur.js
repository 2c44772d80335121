// The entry point: wires the page's elements, and follows the address.

import { loadExtras, wireExtras } from '/extras.js';
import { openView, wireFeed } from '/feed.js';
import { lookForTraceViewer } from '/latest.js';
import { wireMessageForm } from '/messages.js';
import { byId, paintTimes } from '/page.js';
import { wireProfile } from '/profile.js';
import { checkSession, signedIn, whenSessionChanges } from '/session.js';
import { signInByLink, wireSignIn } from '/sign-in.js';
import { viewAt } from '/views.js';

const linkToken = () => location.hash.match(/^#\/sign-in\/(.+)$/)?.[1];

function follow() {
  const token = linkToken();
  if (token) signInByLink(token);
  // A user who has started to write keeps the focus; otherwise it moves to the view's title.
  if (document.activeElement !== byId('crud-text')) byId('view-title').focus({ preventScroll: true });
  openView();
}

// A view that needs a session reopens when the session changes to another user.
function reopenForSession() {
  let before;
  whenSessionChanges(() => {
    const now = signedIn()?.uuid ?? null;
    if (before !== undefined && now !== before) {
      if (viewAt(location.hash).needsUser) openView();
      loadExtras();
    }
    before = now;
  });
}

wireFeed();
wireExtras();
wireMessageForm();
wireProfile();
wireSignIn();
reopenForSession();
window.addEventListener('hashchange', follow);
document.addEventListener('click', ({ target }) => {
  const link = target.closest('a[href^="#/"]');
  if (link && link.hash === location.hash) openView();
});
setInterval(() => paintTimes(document), 1000);
lookForTraceViewer();
const token = linkToken();
if (token) {
  signInByLink(token).then(loadExtras);
} else {
  checkSession();
  loadExtras();
}
openView();
