// The home page of weir. Each part looks after its own section; this file only
// starts them. There is no build step: the browser loads these files as they are.

import { $ } from './dom.js';
import { version } from './api.js';
import { startSignIn } from './signin.js';
import { wireCopyButtons } from './copy.js';
import { startCrest } from './crest.js';
import { startPlayground } from './playground.js';
import { startPublish } from './publish.js';
import { startTimeDemo } from './demo-time.js';
import { startChunksDemo } from './demo-chunks.js';
import { startHistoryDemo } from './demo-history.js';
import { startMachine } from './machine.js';

wireCopyButtons();
startSignIn(); // before anything asks the server
startCrest($('crest'), $('crest-rate'));
startPlayground();
startPublish();
startTimeDemo();
startChunksDemo();
startHistoryDemo();
startMachine();
showVersion();

async function showVersion() {
  try {
    const v = await version();
    $('version').textContent = [v.version, v.commit?.slice(0, 8), v.go].filter(Boolean).join(' · ');
  } catch { /* the footer does without */ }
}
