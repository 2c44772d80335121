// The traces of the last action and of the page's load: as links if there is a viewer, else as ids to copy.

import { loadTraceId } from '/trace.js';
import { byId } from '/page.js';

const COPIED_MS = 1500;

let latestTrace = null;
let hasTraceViewer = false;

export function showTrace(action, id, ms) {
  latestTrace = id ? { id, label: `Trace ${id.slice(0, 8)}… ${Math.round(ms)} ms` } : null;
  byId('action').textContent = action;
  paintTrace();
}

function paintTrace() {
  byId('latest').hidden = !latestTrace;
  byId('page-load').hidden = !loadTraceId;
  if (loadTraceId) {
    const label = `Trace ${loadTraceId.slice(0, 8)}…`;
    document.querySelector('[data-load-slot]').replaceChildren(traceElement({ id: loadTraceId, label }, 'load-trace-link'));
  }
  for (const slot of document.querySelectorAll('[data-trace-slot]')) {
    slot.replaceChildren(...(latestTrace ? [traceElement(latestTrace, slot.dataset.traceSlot)] : []));
  }
}

function traceElement({ id, label }, testId) {
  const element = document.createElement(hasTraceViewer ? 'a' : 'button');
  Object.assign(element, { className: 'trace', textContent: label });
  Object.assign(element.dataset, { testid: testId, traceId: id });
  if (hasTraceViewer) element.href = `/traces/#${id}`;
  else Object.assign(element, { type: 'button', title: 'Copy the trace id', onclick: () => copyTraceId(element, id) });
  return element;
}

async function copyTraceId(element, id) {
  try {
    await navigator.clipboard.writeText(id);
    element.textContent = 'Copied the trace id';
    setTimeout(paintTrace, COPIED_MS);
  } catch {
    // The clipboard needs https or localhost; elsewhere the id can still be selected.
    element.textContent = id;
  }
}

export async function lookForTraceViewer() {
  const response = await fetch('/traces/', { method: 'HEAD' }).catch(() => null);
  hasTraceViewer = response?.ok ?? false;
  byId('traces-link').hidden = !hasTraceViewer;
  paintTrace();
}
