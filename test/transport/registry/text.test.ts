import { expect, it } from 'vitest';
import { showForeign, showUrl } from '../../../src/transport/registry/text.ts';

it('escapes control characters and those that turn text around', () => {
  expect(showForeign('a\u001b[31m\r\nb\u202ec\u0085')).toBe('a\\u001b[31m\\u000d\\u000ab\\u202ec\\u0085');
});

it('cuts long text', () => {
  expect(showForeign('x'.repeat(1000), 10)).toBe('xxxxxxxxxx…');
});

it('shows a URL without user, password, query and fragment', () => {
  expect(showUrl(new URL('https://u:secret@h:5000/p/q?sig=secret#secret'))).toBe('https://h:5000/p/q?…');
  expect(showUrl(new URL('http://h/p'))).toBe('http://h/p');
});
