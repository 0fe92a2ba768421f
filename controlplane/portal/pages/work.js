// The proof of work: finds a number so that SHA-256("form token:number") begins with so many zero bits, in slices of a few
// milliseconds while the form is filled in. Without it the portal works too; its mail only goes out a little later.
(function () {
  "use strict";
  var form = document.querySelector("form[data-work]");
  if (!form) return;
  var bits = Number(form.getAttribute("data-work")), token = form.elements.form.value, n = 0;
  var k = [], first = [], prime = 2;
  for (var i = 0; i < 64; prime++) {
    var divides = false;
    for (var d = 2; d * d <= prime; d++) if (prime % d === 0) { divides = true; break; }
    if (divides) continue;
    if (i < 8) first.push(((Math.sqrt(prime) % 1) * 4294967296) | 0);
    k.push(((Math.cbrt(prime) % 1) * 4294967296) | 0);
    i++;
  }
  function rotate(x, by) { return (x >>> by) | (x << (32 - by)); }
  // One or two blocks: the text is at most 61 bytes.
  function leadingZeros(text) {
    var blocks = text.length > 55 ? 2 : 1, words = new Int32Array(16 * blocks), h = first.slice(), w = new Int32Array(64);
    for (var at = 0; at < text.length; at++) words[at >> 2] |= text.charCodeAt(at) << (24 - 8 * (at & 3));
    words[text.length >> 2] |= 0x80 << (24 - 8 * (text.length & 3));
    words[16 * blocks - 1] = text.length * 8;
    for (var block = 0; block < blocks; block++) {
      var v = h.slice();
      for (var t = 0; t < 64; t++) {
        if (t < 16) w[t] = words[16 * block + t];
        else {
          var a = w[t - 15], b = w[t - 2];
          w[t] = (w[t - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ (a >>> 3)) + w[t - 7] + (rotate(b, 17) ^ rotate(b, 19) ^ (b >>> 10))) | 0;
        }
        var x = (v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[t] + w[t]) | 0;
        var y = ((rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]))) | 0;
        v = [(x + y) | 0, v[0], v[1], v[2], (v[3] + x) | 0, v[4], v[5], v[6]];
      }
      for (var j = 0; j < 8; j++) h[j] = (h[j] + v[j]) | 0;
    }
    return Math.clz32(h[0]);
  }
  function slice() {
    var end = Date.now() + 12;
    while (Date.now() < end) {
      for (var i = 0; i < 50; i++, n++) {
        if (leadingZeros(token + ":" + n) >= bits) { form.elements.work.value = String(n); return; }
      }
    }
    setTimeout(slice, 0);
  }
  slice();
})();
