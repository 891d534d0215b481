# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Dataclass fields that carry the metadata which spec generators and AutoML read."""

from dataclasses import field

_BLANK = dict.fromkeys(
    (
        "display_name description examples valid_min valid_max valid_options required popular regex "
        "automl_enabled math_cond parent_param depends_on"
    ).split(),
    "",
)
_UNSET = (None, "")


def _plain(value, value_type, given):
    metadata = {**_BLANK, "value_type": value_type, "default_value": "", **given}
    if metadata["default_value"] in _UNSET and value not in _UNSET:
        metadata["default_value"] = value
    return field(default=value, metadata=metadata)


def _container(value, value_type, default_value, given):
    metadata = {**_BLANK, "automl_enabled": "FALSE", "value_type": value_type, "default_value": default_value}
    return field(default_factory=lambda: value, metadata={**metadata, **given})


def _with_options(value_type, given):
    forced = {} if given.get("valid_options") in _UNSET else {"value_type": value_type}
    return {"option_weights": None, **given, **forced}


def STR_FIELD(value, **meta_args):
    return _plain(value, "string", _with_options("categorical", meta_args))


def INT_FIELD(value, **meta_args):
    return _plain(value, "int", _with_options("ordered_int", meta_args))


def FLOAT_FIELD(value, **meta_args):
    return _plain(value, "float", meta_args)


def BOOL_FIELD(value, **meta_args):
    return _plain(value, "bool", meta_args)


def LIST_FIELD(arrList, **meta_args):
    return _container(arrList, "list", arrList, meta_args)


def DICT_FIELD(hashMap, **meta_args):
    return _container(hashMap, "collection", hashMap, meta_args)


def DATACLASS_FIELD(hashMap, **meta_args):
    return _container(hashMap, "collection", "", meta_args)
