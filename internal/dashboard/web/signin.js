// The field at the top of the page that asks for a token or an API key, and the line
// that is there while one is in use. Neither is shown unless the server says that
// there is access control.

import { forget, given, onAccess, onNews, use } from './access.js';
import { $ } from './dom.js';
import { clock } from './format.js';
import { problemLine } from './words.js';

const field = $('access-key');
const inUse = {
  page: 'A token or API key is in use until you leave this page.',
  tab: 'A token or API key is in use. This tab remembers it until you close it.',
};

let words = inUse.tab; // while one is in use
let declined = false; // the user does not want to be asked
let asking = false; // the server is being asked about what was given

export function startSignIn() {
  $('access-form').addEventListener('submit', submit);
  $('access-later').addEventListener('click', later);
  $('access-other').addEventListener('click', () => ask(''));
  $('access-forget').addEventListener('click', forget);
  field.addEventListener('input', () => say(''));
  onNews((news) => told[news.kind](news));
  onAccess(changed);
  if (given()) showLine(words);
}

// told is what to do with what the server says about access.
const told = {
  // That nobody has said who it is comes from every part of the page, and after
  // better reasons.
  refused(problem) {
    if (problem.code === 'no_token' && (declined || !$('access-form').hidden)) return;
    declined = false;
    ask(problem.code === 'no_token' ? '' : problemLine({ problem }));
  },
  limited(problem) {
    if (declined || !$('access-form').hidden) return;
    showLine(problemLine({ problem }));
    speak(problemLine({ problem }));
  },
  ending({ until }) {
    const end = `It holds until ${clock(new Date(until), false)}. Give another one before, and nothing is interrupted.`;
    showLine(`${words} ${end}`);
    speak(end);
  },
};

async function submit(event) {
  event.preventDefault();
  if (asking) return;
  asking = true;
  say('');
  words = $('access-keep').checked ? inUse.tab : inUse.page;
  try {
    await use(field.value, $('access-keep').checked);
  } catch (problem) {
    say(problemLine({ problem }), true);
    field.focus();
    field.select();
  } finally {
    asking = false;
  }
}

// changed comes when something has come into use, or was given up by the user.
function changed() {
  field.value = '';
  declined = false;
  showLine(given() ? words : 'No token or API key is in use.');
  $('access-state').focus({ preventScroll: true });
}

function later() {
  declined = true;
  field.value = '';
  showLine(given() ? words : 'This server does not show everything to everybody.');
  $('access-other').focus();
}

function ask(why) {
  const focused = document.activeElement;
  const here = $('access').contains(focused) || ($('access').hidden && focused === document.body && scrollY < 50);
  show('access-form');
  say(why);
  speak(`${$('access-h').textContent}. ${why}`);
  if (here) field.focus({ preventScroll: true });
}

function showLine(text) {
  show('access-bar');
  $('access-state').textContent = text;
  $('access-other').textContent = given() ? 'Use another' : 'Use a token or API key';
  $('access-forget').hidden = !given();
}

function show(part) {
  $('access').hidden = false;
  for (const id of ['access-form', 'access-bar']) $(id).hidden = id !== part;
}

// say puts a text below the field. wrong marks the field as the reason for it.
function say(text, wrong = false) {
  $('access-said').textContent = text;
  field.setAttribute('aria-invalid', String(wrong));
  if (wrong) speak(text);
}

function speak(text) {
  $('access-spoken').textContent = text;
}
