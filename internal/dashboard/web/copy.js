// Buttons that copy the text of another element.

export function wireCopyButtons() {
  for (const button of document.querySelectorAll('[data-copy]')) {
    let timer = 0;
    button.addEventListener('click', async () => {
      const text = document.getElementById(button.dataset.copy).textContent;
      button.textContent = (await copy(text)) ? 'Copied' : 'Not allowed';
      clearTimeout(timer);
      timer = setTimeout(() => { button.textContent = 'Copy'; }, 1500);
    });
  }
}

// The clipboard object exists only on https and on localhost; elsewhere the old
// command still works.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const box = document.createElement('textarea');
    box.value = text;
    box.className = 'offscreen';
    document.body.append(box);
    box.select();
    const done = document.execCommand('copy');
    box.remove();
    return done;
  }
}
