// The address bar is the page's state.
export const path = $state({ now: location.pathname });
window.addEventListener('popstate', () => (path.now = location.pathname));
export function go(to: string) {
  if (to !== location.pathname) history.pushState(null, '', to);
  path.now = to;
  window.scrollTo(0, 0);
}
