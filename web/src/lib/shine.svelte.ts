// How much of gifts' effects one wants to see; kept in this browser. Who asked their system for less motion gets calm, at most.
export const shines = ['full', 'calm', 'off'] as const;
export type Shine = (typeof shines)[number];
const still = matchMedia('(prefers-reduced-motion: reduce)');
const stored = localStorage.getItem('gift_effects') as Shine | null;
export const shine = $state({ chosen: stored && shines.includes(stored) ? stored : 'full', still: still.matches });
still.addEventListener('change', () => (shine.still = still.matches));

export const shineNow = (): Shine => (shine.chosen === 'full' && shine.still ? 'calm' : shine.chosen);
export function setShine(to: Shine) {
  shine.chosen = to;
  localStorage.setItem('gift_effects', to);
}
