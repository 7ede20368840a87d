"""Do lottery tickets exist in text classifiers?"""
