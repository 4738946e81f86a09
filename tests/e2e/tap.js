// Runs in the page before its scripts: records what the audio worklets give and get, all on one clock of the page's context,
// and, beside it, where the page says that the lyrics are. The tap itself is served with the pages (tap.worklet.js).
(() => {
  const taps = (globalThis.taps = { player: null, studio: null, wipes: [], clock: [] });
  const encode = (parts) => {
    let total = 0;
    for (const p of parts) total += p.length;
    const all = new Int16Array(total);
    let at = 0;
    for (const p of parts) for (const v of p) all[at++] = Math.max(-32768, Math.min(32767, Math.round(v * 32767)));
    let text = '';
    const bytes = new Uint8Array(all.buffer);
    for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return btoa(text);
  };
  const middle = (x) => x.sort((p, q) => p - q)[x.length >> 1];
  // Samples from a context frame on: base64 of 16 bit, first frame; what was lost is told as a gap. wall + frame / 48: the
  // machine's time, in ms, at which the studio's tap got that frame, or at which it leaves the listener's output.
  globalThis.takeTap = (name, seconds) => {
    const t = taps[name];
    if (!t) return null;
    const from = Math.max(0, t.chunks.length - Math.ceil((seconds * 48000) / 4096));
    const part = t.chunks.slice(from);
    if (part.length === 0) return null;
    const gaps = part.filter((c, i) => i > 0 && c.at !== part[i - 1].at + 4096).length;
    const wall = name === 'studio' ? middle(part.map((c) => c.wall - c.at / 48)) : middle(taps.clock.slice(-200));
    return { at: part[0].at, a: encode(part.map((c) => c.a)), b: encode(part.map((c) => c.b)), gaps, wall };
  };
  // The machine's time at which the first sound left the output; null: none yet.
  globalThis.firstSound = () => {
    const c = taps.player?.first;
    const wall = middle(taps.clock.slice());
    return c === undefined || wall === undefined ? null : wall + c / 48;
  };
  const Real = globalThis.AudioWorkletNode;
  globalThis.AudioWorkletNode = class extends Real {
    constructor(context, name, options) {
      super(context, name, options);
      if ((name !== 'player' && name !== 'studio') || taps[name]?.context === context) return;
      const t = (taps[name] = { context, chunks: [], node: this, status: null });
      const merger = context.createChannelMerger(2);
      t.merger = merger;
      if (name === 'player') this.port.addEventListener('message', (e) => (t.status = e.data));
      void context.audioWorklet.addModule('/assets/test-tap.js').then(() => {
        const tap = new Real(context, 'test-tap', { numberOfInputs: 1, numberOfOutputs: 0, channelCount: 2, channelCountMode: 'explicit' });
        tap.port.onmessage = (e) => {
          const i = t.first === undefined ? e.data.b.findIndex((v, k) => v !== 0 || e.data.a[k] !== 0) : -1;
          if (i >= 0) t.first = e.data.at + i;
          t.chunks.push(e.data);
          if (t.chunks.length > 1500) t.chunks.shift();
        };
        merger.connect(tap);
        if (name === 'player') {
          connect.call(this, merger, 0, 0); // voice
          connect.call(this, merger, 1, 1); // backing, left
        } else {
          connect.call(this, merger, 0, 1); // backing as the singer hears it
        }
      });
    }
  };
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (to, ...rest) {
    if (to instanceof Real && taps.studio?.node === to) connect.call(this, taps.studio.merger, 0, 0); // the microphone
    return connect.call(this, to, ...rest);
  };
  const running = () => (taps.player?.context.state === 'running' ? taps.player.context.getOutputTimestamp() : {});
  setInterval(() => {
    const out = running();
    if (!out.contextTime) return;
    taps.clock.push(performance.timeOrigin + out.performanceTime - out.contextTime * 1000);
    if (taps.clock.length > 600) taps.clock.shift();
  }, 40);
  // Where the page puts the lyrics, and which frame leaves the output then.
  let looked = 0;
  new MutationObserver(() => {
    const now = performance.now();
    if (now < looked + 40) return;
    const out = running();
    const spans = [...document.querySelectorAll('[data-testid=lyric] .syl')];
    const i = spans.findIndex((s) => { const w = parseFloat(s.style.getPropertyValue('--w') || '0'); return w > 0 && w < 100; });
    if (!out.contextTime || i < 0) return;
    looked = now;
    taps.wipes.push({ line: spans.map((s) => s.textContent).join('|'), i, w: parseFloat(spans[i].style.getPropertyValue('--w')), frame: (out.contextTime + (now - out.performanceTime) / 1000) * 48000 });
    if (taps.wipes.length > 600) taps.wipes.shift();
  }).observe(document, { subtree: true, attributes: true, attributeFilter: ['style'] });
})();
