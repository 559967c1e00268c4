// Headless Chromium as every script here starts it.
import { chromium } from 'playwright-core';

export const launch = (more = []) => chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required', ...more],
});

// An SDP answer as it looks behind a network that lets less through: `candidates` "tcp" leaves only those, `port` sends all
// packets to another port of this machine (a proxy, or a hole that swallows them; `hole` also for TCP).
export const narrowed = (sdp, { candidates, port, hole } = {}) => sdp.split('\r\n').filter((line) => {
  if (!line.startsWith('a=candidate:')) return true;
  const tcp = line.split(' ')[2].toLowerCase() === 'tcp';
  return candidates === 'tcp' ? tcp : !(port && tcp);
}).map((line) => {
  const to = port ?? hole;
  return to && line.startsWith('a=candidate:') ? line.replace(/^((?:\S+ ){4})\S+ \d+ /, `$1127.0.0.1 ${to} `) : line;
}).join('\r\n');
