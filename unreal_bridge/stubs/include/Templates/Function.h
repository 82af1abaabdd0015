#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
template <typename F> class TFunction;
template <typename R, typename... A> class TFunction<R(A...)> {
 public:
  TFunction(std::nullptr_t = nullptr);
  template <typename F, typename = decltype(std::declval<F>()(std::declval<A>()...))> TFunction(F) {}
  explicit operator bool() const;
  R operator()(A...) const;
};
