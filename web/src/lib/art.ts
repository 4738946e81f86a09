// A gift's picture in the sprite.
const pictures: Record<string, string> = { lantern: 'lantern', rose: 'rose', milk_tea: 'tea', crane: 'crane', bunch: 'bouquet', fan: 'fan', spotlight: 'spot', fireworks: 'fire', starfall: 'star', grand_stage: 'curtain', glow: 'glow', applause: 'clap' };
export const art = (code: string) => `#g-${pictures[code] ?? 'rose'}`;
