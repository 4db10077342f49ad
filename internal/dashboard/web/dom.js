// Builds elements. Text always goes in as text, never as markup.

export const $ = (id) => document.getElementById(id);

// el('li', { class: 'row', hidden: true }, 'text', node) makes one element.
// Attributes that are null or false are left out.
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.filter((c) => c != null));
  return node;
}
