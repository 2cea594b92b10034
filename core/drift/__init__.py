"""Drift: has the world moved away from the training data?"""
