// Runs before the first paint, so that a chosen theme never flashes in late.
// Automatic follows the system; light and dark are remembered per browser.
(() => {
  const root = document.documentElement;
  const names = { auto: 'Auto', light: 'Light', dark: 'Dark' };
  const next = { auto: 'light', light: 'dark', dark: 'auto' };
  let theme = 'auto';
  try {
    theme = localStorage.getItem('weir.theme') ?? 'auto';
  } catch { /* storage may be switched off; automatic then */ }
  if (!names[theme]) theme = 'auto';

  function apply() {
    root.dataset.theme = theme;
    const button = document.getElementById('theme');
    if (!button) return;
    document.getElementById('theme-name').textContent = names[theme];
    button.setAttribute('aria-label', `Colour theme: ${names[theme]}`);
  }

  const changed = () => document.dispatchEvent(new Event('weir:theme'));

  apply();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', changed);
  document.addEventListener('DOMContentLoaded', () => {
    apply();
    document.getElementById('theme').addEventListener('click', () => {
      theme = next[theme];
      try {
        localStorage.setItem('weir.theme', theme);
      } catch { /* lasts until the page is left */ }
      apply();
      changed();
    });
  });
})();
