// Runs in the page before its scripts: records what the audio worklets give and get, all on one clock of the page's context,
// and, beside it, where the page says that the lyrics are.
(() => {
  const code = `registerProcessor('test-tap', class extends AudioWorkletProcessor {
    constructor() { super(); this.n = 0; this.b = [new Float32Array(4096), new Float32Array(4096)]; }
    process(inputs) {
      const x = inputs[0];
      const at = currentFrame;
      if (this.n === 0) this.at = at;
      for (let c = 0; c < 2; ++c) { const y = x[c]; if (y) this.b[c].set(y, this.n); else this.b[c].fill(0, this.n, this.n + 128); }
      this.n += 128;
      if (this.n === 4096) { this.port.postMessage({ at: this.at, a: this.b[0].slice(), b: this.b[1].slice() }); this.n = 0; }
      return true;
    }
  });`;
  const taps = (globalThis.taps = { player: null, studio: null, wipes: [] });
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
  // Samples from a context frame on: base64 of 16 bit, first frame; what was lost is told as a gap.
  globalThis.takeTap = (name, seconds) => {
    const t = taps[name];
    if (!t) return null;
    const from = Math.max(0, t.chunks.length - Math.ceil((seconds * 48000) / 4096));
    const part = t.chunks.slice(from);
    if (part.length === 0) return null;
    const gaps = part.filter((c, i) => i > 0 && c.at !== part[i - 1].at + 4096).length;
    return { at: part[0].at, a: encode(part.map((c) => c.a)), b: encode(part.map((c) => c.b)), gaps };
  };
  const Real = globalThis.AudioWorkletNode;
  globalThis.AudioWorkletNode = class extends Real {
    constructor(context, name, options) {
      super(context, name, options);
      if ((name !== 'player' && name !== 'studio') || taps[name]?.context === context) return;
      const t = (taps[name] = { context, chunks: [], node: this });
      const merger = context.createChannelMerger(2);
      t.merger = merger;
      void context.audioWorklet.addModule(URL.createObjectURL(new Blob([code], { type: 'text/javascript' }))).then(() => {
        const tap = new Real(context, 'test-tap', { numberOfInputs: 1, numberOfOutputs: 0, channelCount: 2, channelCountMode: 'explicit' });
        tap.port.onmessage = (e) => {
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
  // Where the lyrics are, and which frame leaves the output then.
  setInterval(() => {
    const c = taps.player?.context;
    if (!c || c.state !== 'running') return;
    const spans = [...document.querySelectorAll('[data-testid=lyric] .syl')];
    const i = spans.findIndex((s) => { const w = parseFloat(s.style.getPropertyValue('--w') || '0'); return w > 0 && w < 100; });
    if (i < 0) return;
    const out = c.getOutputTimestamp();
    taps.wipes.push({ line: spans.map((s) => s.textContent).join('|'), i, w: parseFloat(spans[i].style.getPropertyValue('--w')), frame: (out.contextTime + (performance.now() - out.performanceTime) / 1000) * 48000 });
    if (taps.wipes.length > 600) taps.wipes.shift();
  }, 40);
})();
