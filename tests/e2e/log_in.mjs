// A person at a page: the log-in by its dialog.
import { password } from '../wire/harness.mjs';

export async function logIn(page, handle) {
  await page.getByRole('button', { name: 'Log in' }).first().click();
  await page.locator('input[name=handle]').fill(handle);
  await page.locator('input[name=password]').fill(password);
  await page.locator('dialog button.primary').click();
  await page.locator('dialog').waitFor({ state: 'detached' });
}
