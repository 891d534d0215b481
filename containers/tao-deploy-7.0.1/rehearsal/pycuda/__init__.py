"""Stand-in for PyCUDA: device memory and streams that exist in this process only.

It is for rehearsing tao-deploy on a machine without a GPU. Its rules are stricter than those of a device:

* a device address is invented, so using one as a host pointer cannot work by accident;
* all new memory, of the host and of the device, holds ``0xFF`` bytes, which read as NaN, so that a forgotten
  copy shows in the numbers;
* work handed to a stream is done when the stream is synchronized and not before.
"""

REHEARSAL = True
