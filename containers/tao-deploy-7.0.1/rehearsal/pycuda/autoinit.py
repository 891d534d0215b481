"""Make a context of the only device current, as the import of the real module does."""

from pycuda import driver

driver.init()
device = driver.Device(0)
context = device.make_context()
