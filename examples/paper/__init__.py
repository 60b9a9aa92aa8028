"""Reruns the tables of Yu & Aizawa (ICCV 2019) and sets our figures beside the paper's."""
