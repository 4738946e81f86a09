// Parts of the page that come later. A connection that is just lost must not leave a hole in it: what did not come is asked for again.
const tries = 12;

export async function lazily<T>(load: () => Promise<T>): Promise<T> {
  for (let i = 0; i < tries; ++i) {
    try {
      return await load();
    } catch {
      await new Promise((done) => setTimeout(done, Math.min(8_000, 400 * 2 ** i)));
    }
  }
  return await new Promise<T>(() => undefined); // the page says by itself that there is no connection
}
