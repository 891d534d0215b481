# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""The passphrase of encrypted checkpoints; the kit keeps it and encrypts nothing."""


class TLTPyTorchCookbook:
    _passphrase = None

    @classmethod
    def get_passphrase(cls):
        return cls._passphrase

    @classmethod
    def set_passphrase(cls, passphrase):
        cls._passphrase = passphrase
