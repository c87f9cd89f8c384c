"""Networks, tokenizers and image processing of folders in Hugging Face's layout."""
