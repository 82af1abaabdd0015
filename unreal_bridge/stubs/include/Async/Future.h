#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
template <typename T> class TFuture {
 public:
  TFuture();
  TFuture(TFuture&&);
  TFuture& operator=(TFuture&&);
  bool IsValid() const;
  bool IsReady() const;
  void Wait() const;
  const T& Get() const;
  void Reset();
};
