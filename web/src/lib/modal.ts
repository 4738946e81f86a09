// A real modal dialog: focus is trapped by the browser and comes back when it closes.
export function modal(node: HTMLDialogElement) {
  const before = document.activeElement as HTMLElement | null;
  node.showModal();
  return {
    destroy() {
      if (node.open) node.close();
      before?.focus();
    },
  };
}
